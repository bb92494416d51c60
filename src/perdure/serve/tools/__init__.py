"""What runs of agents and graphs reach: models, indexes, views and tools, always as their caller may."""
