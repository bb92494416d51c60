"""What the system remembers: a package a role, a file an adapter, Protocols beside them."""
