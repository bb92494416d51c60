"""The executor's units: read from stores, call one engine, write. Named by what they do, not for whom."""
