"""Cuts parsed documents into chunks: `compiling.compile_chunker` makes of a declared chunker one that works.

A chunk depends on what stands near it, never on where in the document it is: an edit changes the chunks beside it, and the vectors of
all others are used again.
"""
