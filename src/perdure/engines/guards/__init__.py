"""Guards at work: what checks find in texts, whole or streamed, and how well they do. Pure computation."""
