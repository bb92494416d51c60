"""perdure.stores.blobs."""
