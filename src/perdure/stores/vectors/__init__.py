"""Where indexes are kept: documents, chunks, vectors and words of one version of an index, by generations."""
