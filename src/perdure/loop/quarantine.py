"""Quarantine: bad rows of a source are set aside as a time range, with everything that used them.

Training, skew and drift read `usable_rows` of sources and `untainted` captures.
"""

from __future__ import annotations

from perdure.loop.work.ranges import (
    QuarantinedRange,
    close_range,
    open_range,
    outside,
    quarantined,
    recomputable,
    untainted,
    untainted_by,
    usable_rows,
)

__all__ = [
    "QuarantinedRange",
    "close_range",
    "open_range",
    "outside",
    "quarantined",
    "recomputable",
    "untainted",
    "untainted_by",
    "usable_rows",
]
