"""What answers and questions of generative models say of themselves: refusals, shifts of fixed probes, new intents.

Pure functions over texts: no model is asked, nothing is learned, and the same texts give the same numbers on every machine.
The recipes of routes call them.
"""
