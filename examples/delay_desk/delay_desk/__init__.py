"""A delay desk over the flights of `examples/flights`: its contracts, feature views and data, a smaller model, an agent, a graph."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "flights"))
