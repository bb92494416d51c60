"""The recipes of the kind "index": how it is held against its source, diagnosed, repaired, verified; and how it follows its source."""
