"""The recipes of the kind "guard": how it is observed, diagnosed, repaired and verified. Compose registers them.

A guard's harm is seen in labels: what people say of its verdicts, and a standing suite. Like everything that learns it is
repaired by learning again, and a repair is proven on texts that neither version was trained on.
"""
