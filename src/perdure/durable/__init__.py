"""What makes work survive crashes and rivals: leases held while it is done."""
