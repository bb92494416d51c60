"""Bytes of documents to text with structure: a parser a family of media types, each bounded in time and memory.

`registry.parse` is the way in. What surprised us: a parser that builds a tree can be made to work for minutes by a page of 40 kB, so
HTML is read as a stream of events, and a PDF by a process that is ended when it takes too long.
"""
