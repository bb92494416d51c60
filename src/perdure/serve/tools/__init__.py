"""What tools do when they are called: search, predict, look up, ask over HTTP, call Python or MCP; within time, size and permissions."""
