"""What can be computed about graphs: types between nodes, order, drawings."""
