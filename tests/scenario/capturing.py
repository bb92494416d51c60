"""A serving process in small: appends events and tells the id of each that was acknowledged. Run by tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from perdure.core.settings import CaptureSettings
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import prediction


def main(root: Path, model: str, *, forks: bool) -> None:
    """Append for ever; with `forks`, from a child as well."""
    writer = SegmentWriter(root, CaptureSettings(segment_bytes=20_000, min_free_bytes=0))
    writer.append(prediction(0, model=model))
    if forks and os.fork() == 0:
        model = f"{model}_child"
        writer.append(prediction(0, model=model))
    for number in range(1, 1_000_000):
        if writer.append(prediction(number, model=model)):
            os.write(1, f"{model} r_{number}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], forks=len(sys.argv) > 3)
