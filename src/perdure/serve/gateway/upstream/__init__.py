"""Clients of upstreams: HTTP on raw asyncio, a model in this process, or a library."""
