"""What a pull request does to a project: `perdure check --ci`.

    snapshot → compare (contracts, objectives, policies, assets) → consequences → review → markdown

Declarations only: no data is read, no store is opened for writing. Pages: docs/ci.md.
"""
