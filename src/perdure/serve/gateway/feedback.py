"""`POST /v1/feedback`: late labels of calls, and people's overrides of guards."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import BadRequest, StoreFull
from perdure.stores.capture.events import Feedback
from perdure.stores.capture.protocols import CaptureWriter


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """One label as it is posted."""

    name: str
    value: float | bool
    call_id: str = ""
    """Of a call; the id of a run stands here too."""
    run: str = ""
    """Of a run, in the place of `call_id`."""
    text: str = ""

    @property
    def of(self) -> str:
        """The call or the run that it is of."""
        return self.call_id or self.run


_decode = msgspec.json.Decoder(Given | list[Given]).decode
_MOST = 1_000
_LONGEST_TEXT = 10_000


def read(body: bytes) -> list[Given]:
    """One label or a list of them, as they were posted.

    Raises:
        BadRequest: it cannot be read, or is too much.
    """
    try:
        given = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"The feedback cannot be read: {error}.",
            hint='Send {"call_id": "…", "name": "helpful", "value": 1}, or a list of such.',
        ) from error
    rows = given if isinstance(given, list) else [given]
    if len(rows) > _MOST or any(len(row.text) > _LONGEST_TEXT for row in rows):
        raise BadRequest(f"Feedback may have {_MOST} entries with texts of {_LONGEST_TEXT} characters.")
    if any(bool(row.call_id) == bool(row.run) for row in rows):
        raise BadRequest(
            "Feedback is of one call or of one run.", hint='Send {"call_id": "…", …} or {"run": "run_…", …}, not both.'
        )
    return rows


def record(rows: Sequence[Given], key_id: str, now_us: int, writer: CaptureWriter) -> int:
    """Write labels to the log; returns how many. All of them are in it, or an error says which are not.

    Raises:
        StoreFull: the log has no room; the labels behind the named one were not recorded.
    """
    for place, row in enumerate(rows):
        event = Feedback(row.of, now_us, machine_us(), key_id, row.name, float(row.value), row.text)
        if not writer.append(event):
            raise StoreFull(
                f"The log has no room: the feedback from number {place} on was not recorded.",
                hint="Send the rest again later.",
                n_recorded=place,
            )
    return len(rows)
