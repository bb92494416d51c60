"""Makes vectors: `opening.open_embedder` makes of a declared embedder one that works, `batching` embeds many, `sentinels` watches it.

Two rules hold for all of them, and a census leans on both: what a text's vector is depends on nothing else in its batch, and a text that
an embedder knows nothing of is all zeros.
"""
