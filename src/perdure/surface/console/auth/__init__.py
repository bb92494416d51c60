"""Who asks, and whether they may: signing in, sessions, forged requests, tries."""
