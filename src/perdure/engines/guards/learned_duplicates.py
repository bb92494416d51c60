"""Which texts are nearly the same to a guard: so that none is judged on what it was trained on, in other words.

The signatures of a training set are kept beside its version instead of the texts: they tell whether a text was in it, and not
what was in it.
"""

from __future__ import annotations

from perdure.core.texts.near import Keys, Seen, groups, keys_of
from perdure.engines.guards.learned_text import normalise

__all__ = ["Keys", "Seen", "groups", "keys"]


def keys(text: str) -> Keys:
    """The numbers of a text as a guard sees it. Cost: about 0.2 ms for 1,000 characters."""
    return keys_of(normalise(text))
