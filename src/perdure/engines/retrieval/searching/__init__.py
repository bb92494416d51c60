"""Search over a generation that is held in memory: by vectors, by words, or by both. `searcher.Searcher` is what callers build."""
