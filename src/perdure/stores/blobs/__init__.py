"""Blobs: immutable bytes by their digest, verified on every read."""
