"""The world of the evals' tests, and its module made importable."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from evals_world import world

__all__ = ["world"]
