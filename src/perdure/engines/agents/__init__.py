"""What can be computed about runs of agents: loops, limits, marks of data, trajectories, grounding, differences, blame."""
