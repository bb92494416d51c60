"""The recipes of the kind "route": how it is observed, diagnosed, repaired and verified. Compose registers them.

What a version of a route would do is told by its targets: tries of calls, and probes that every target is asked. So a
candidate that never answered is judged by what the upstreams that it names do now.
"""
