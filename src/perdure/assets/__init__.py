"""What a user declares. Pure data and tracing: nothing here reads, writes or computes over rows."""
