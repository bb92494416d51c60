"""Indexes over HTTP: versions held in memory and followed, searches whose every hit is checked, answers whose citations are."""
