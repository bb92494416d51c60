"""Retrieval as pure computation: parsing, chunking, embedding, searching, measuring; censuses and plans."""
