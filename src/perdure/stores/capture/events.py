"""What serve's taps record: the events inside a segment's frames, as msgpack.

One frame a request. Field names on the wire are single letters of no meaning to a reader: the
structs here are the format. Instants are microseconds since 1970 UTC; `served_us` is domain time,
`recorded_us` the machine's.
"""

from __future__ import annotations

import msgspec


class PredictionRow(msgspec.Struct, array_like=True):
    """One answered row."""

    id: str
    key: str
    """Value of the label's key field."""
    version: str
    arm: str
    """Pointer that answered: `champion`, `challenger`, `shadow` …"""
    row: bytes
    """The validated row as JSON."""
    features: bytes
    """Encoded features as little-endian float32, in the order of the version's manifest; NaN is missing."""
    status: bytes
    """One byte a stored view: 0 fresh, 1 missing, 2 expired, 3 not yet available."""
    prediction: float


class Predictions(msgspec.Struct, array_like=True, tag="p"):
    """One answered request."""

    model: str
    request_id: str
    served_us: int
    recorded_us: int
    latency_us: int
    """Server time of the whole request."""
    generation: int
    rows: list[PredictionRow]


class LabelRow(msgspec.Struct, array_like=True):
    """One label; `prediction_id` or `key` is empty."""

    prediction_id: str
    key: str
    value: float
    known_us: int


class Labels(msgspec.Struct, array_like=True, tag="l"):
    """Labels of one request."""

    model: str
    request_id: str
    received_us: int
    """Domain time of arrival."""
    recorded_us: int
    rows: list[LabelRow]


class Rejected(msgspec.Struct, array_like=True, tag="r"):
    """Rows of one request that broke their contract, with every error."""

    model: str
    request_id: str
    served_us: int
    recorded_us: int
    rows: list[bytes]
    """The offending rows as JSON, as they came."""
    errors: bytes
    """JSON list of `{"row", "field", "message", "type"}`."""


class Lost(msgspec.Struct, array_like=True, tag="x"):
    """Events that a writer had to let go, told by the writer itself as soon as it can write again."""

    n: int
    """Events, whatever their kind."""
    n_refused: int
    """Of them label events: their senders were told, and may have sent them again."""
    first_us: int
    """`recorded_us` of the first of them."""
    recorded_us: int
    """`recorded_us` of the last of them."""
    process: str
    """Host and process id of the writer."""


Event = Predictions | Labels | Rejected | Lost
