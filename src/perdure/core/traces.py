"""Ids of traces and spans: hashes of our own ids, below what W3C's header `traceparent` says of the caller.

Serve sends a run's own header along with what the run asks for; the loop makes the spans later, of records. Both say the same without
having met, and a span that is made twice has one id.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from perdure.core.runs import RunRecord

_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def parse_traceparent(header: str) -> tuple[int, int, bool]:
    """Trace and span of W3C's `traceparent`, and whether it is sampled; zeros and True where it tells nothing.

    >>> parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")[2], parse_traceparent("nonsense")
    (False, (0, 0, True))
    """
    match = _PARENT.fullmatch(header)
    if match is None or header.startswith("ff") or not int(match[1], 16) or not int(match[2], 16):
        return 0, 0, True
    return int(match[1], 16), int(match[2], 16), bool(int(match[3], 16) & 1)


def hashed_id(text: str, n_bytes: int) -> int:
    """An id of OpenTelemetry, never zero: 16 bytes for a trace, 8 for a span."""
    return int.from_bytes(blake2b(text.encode(), digest_size=n_bytes).digest()) or 1


def run_ids(run: RunRecord) -> tuple[int, int, int, bool]:
    """Trace and span of a run, the span above it (0: none), and whether the trace is sampled.

    A run of a caller's is below the caller's span; one below a run is below that run's.
    """
    trace_id, caller_id, sampled = parse_traceparent(run.trace)
    parent_id = hashed_id(run.parent, 8) if run.parent else caller_id
    return trace_id or hashed_id(run.root or run.id, 16), hashed_id(run.id, 8), parent_id, sampled


def run_traceparent(run: RunRecord) -> str:
    """W3C's `traceparent` of what a run itself asks for: calls and searches, so that their spans stand below the run's.

    Runs below it have the trace of the caller in their record (`RunRecord.trace`), and say by `parent` what they are below.

    >>> run = RunRecord(id="run_1", kind="agent", asset="a", version="", arm="champion", status="running", input=b"", root="run_1")
    >>> run_traceparent(run) == run_traceparent(run), len(run_traceparent(run)), run_traceparent(run)[-3:]
    (True, 55, '-01')
    """
    trace_id, span_id, _, sampled = run_ids(run)
    return f"00-{trace_id:032x}-{span_id:016x}-{sampled:02x}"
