"""Writes a whole index anew, generation after generation, until it is killed. Run as a process."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "gateway"))

from retrieval_world import write

from perdure.stores.vectors.opening import open_index

if __name__ == "__main__":
    store = open_index(Path(sys.argv[1]))
    print("begun", flush=True)
    while True:
        number = store.generation().number + 1
        write(store, {f"{i}.md": f"trains of timetable t{number}x leave" for i in range(60)})
