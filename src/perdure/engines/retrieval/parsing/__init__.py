"""Bytes of documents to text with structure: a parser a family of media types, each bounded in time and memory.

`registry.parse` is the way in. What surprised us: a parser that builds a tree works by the square of what a page repeats, so HTML is read
as a stream of events, and a PDF by a process that is ended when it takes too long.
"""
