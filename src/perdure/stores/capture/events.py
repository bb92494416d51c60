"""What serve's taps record: the events inside a segment's frames, as msgpack.

One frame a request. Field names on the wire are single letters of no meaning to a reader: the
structs here are the format. Instants are microseconds since 1970 UTC; `served_us` is domain time,
`recorded_us` the machine's.
"""

from __future__ import annotations

import msgspec

from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.core.usage import Usage


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
    """Of them labels and feedback: their senders were told, and may have sent them again."""
    first_us: int
    """`recorded_us` of the first of them."""
    recorded_us: int
    """`recorded_us` of the last of them."""
    process: str
    """Host and process id of the writer."""


class Attempt(msgspec.Struct, array_like=True):
    """One try of a call at one target."""

    target: str
    """`upstream/model`."""
    status: int
    """Of the upstream's answer; 0 where none came."""
    began_us: int
    """After the call's begin."""
    first_us: int
    """From the try's begin to the first byte of the answer's body; 0 where none came."""
    took_us: int
    error: str = ""
    """Code of the error, such as `upstream.timed_out`; empty for an answer."""
    usage: Usage | None = None
    """What the upstream counted, where it told, or our estimate of what it will have billed."""
    cost_pusd: int | None = None
    """Picodollars; None: the price is not known."""


class Guarded(msgspec.Struct, array_like=True):
    """What one guard said of one call."""

    guard: str
    version: str
    arm: str
    """Pointer of the guard that judged; `shadow` never acts."""
    side: str
    """`input` or `output`."""
    action: str
    """`passed`, `blocked`, `redacted`, `warned`, `shadowed` (it would have acted), or `failed`."""
    check: str = ""
    kind: str = ""
    score: float = 0.0
    took_us: int = 0
    text: bytes = b""
    """What was judged, redacted, where the route keeps bodies and something was found or sampled; else empty."""


class Call(msgspec.Struct, array_like=True, tag="c", kw_only=True):
    """One call of the gateway, whole: recorded once, when it is over, whatever became of it."""

    id: str
    route: str
    endpoint: str
    """`chat`, `messages`, `responses`, `embeddings`."""
    served_us: int
    """Domain time at which it began."""
    recorded_us: int
    generation: int
    version: str
    """Of the route."""
    arm: str
    """Pointer of the route: `champion`, `challenger`, `shadow`, or `probe`."""
    prompt: str
    """Version of the prompt that was rendered; empty without one."""
    key: str
    """Id of the caller's key, never the key."""
    team: str
    affinity: str
    stream: bool
    status: int
    """HTTP status that the client got."""
    outcome: str
    """`answered`, `cut` (the stream broke after its first byte), `cancelled` (by the client), `blocked`, `refused` (limits,
    budget, a request that is not valid), `failed`."""
    finish: str
    """`stop`, `length`, `tool_calls`, `content_filter`; empty without an answer."""
    latency_us: int
    first_us: int
    """To the first byte of the body that the client got; 0 without one."""
    cache: str
    """Empty (none is kept), `miss`, `exact`, `semantic`."""
    usage: Usage
    """Of all attempts together: what is billed."""
    cost_pusd: int | None
    """Picodollars of all attempts; None: the price of one of them is not known."""
    saved_pusd: int
    """Picodollars that the cache spared."""
    attempts: list[Attempt]
    guards: list[Guarded]
    request: bytes
    """The neutral messages as JSON, by the route's policy of bodies."""
    answer: bytes
    """The neutral answer's message as JSON, by the same."""
    tags: dict[str, str]
    """The request's own `metadata`, and for probes `probe` and `target`."""


class Feedback(msgspec.Struct, array_like=True, tag="f"):
    """What somebody says of a call after it: late labels, and overrides of guards."""

    call_id: str
    received_us: int
    recorded_us: int
    key: str
    name: str
    """Such as `helpful`, `resolved`; `guard:<name>` overrides a guard's verdict (1: it should have been caught)."""
    value: float
    text: str = ""


class Dropped(msgspec.Struct, array_like=True):
    """A chunk that ranking found and that was not given as it was found: it is not what the index's record says."""

    key: int
    document: str
    reason: str
    """`missing`, `ghost`, `stale`, `corrupt`, `wrong_embedder`, or `forbidden`: whoever asked may not find it any more."""
    marked: bool = False
    """It was given all the same, with its mark."""


class Searched(msgspec.Struct, array_like=True, tag="s", kw_only=True):
    """One search of an index, with what was given: recorded before it is answered."""

    id: str
    index: str
    version: str
    arm: str
    """Pointer of the index: `champion`, `challenger`, `shadow` …"""
    generation: int
    """Of the index, that was searched."""
    seen_us: int
    """Domain time at which its source had been listed for that generation."""
    served_us: int
    recorded_us: int
    latency_us: int
    key: str
    """Id of the caller's key; empty without one."""
    team: str
    query: str
    """By the setting `[serve] searches`: masked, whole, or empty."""
    mode: str
    k: int
    as_of_us: int
    """Domain instant that was asked as of; 0: now."""
    keys: list[int]
    documents: list[str]
    """Of each hit."""
    scores: list[float]
    cosines: list[float | None]
    """Of each hit to the question; None: it was not found by its vector."""
    dropped: list[Dropped]
    purpose: str = "search"
    """`search`, or `answer` where a model read what was found."""


class Differing(msgspec.Struct, array_like=True, frozen=True):
    """A chunk or a document that a server's memory has otherwise than its store."""

    key: int
    """Of the chunk; 0: the document itself."""
    document: str
    """Empty where the store does not know it."""
    kind: str
    """`missing`, `ghost`, or `corrupt`."""


class Compared(msgspec.Struct, array_like=True, tag="m", kw_only=True):
    """A version of an index in a server's memory, held against its store row by row."""

    index: str
    version: str
    process: str
    """Host and process id of the server."""
    generation: int
    served_us: int
    """Domain time at which the round ended."""
    recorded_us: int
    took_us: int
    n_chunks: int
    """That were compared."""
    n_differing: int
    differing: list[Differing]
    """Up to a hundred of them."""
    healed: bool
    """Whether nothing of it was there any more after all was read anew."""


class RunTold(msgspec.Struct, array_like=True, tag="u", kw_only=True):
    """A run of an agent or a graph that is over, whole, with texts as its asset keeps them; never one that was a replay.

    It is told before the store of runs says that it is over: a process that dies in between lets it be told twice, and the last stands.
    """

    run: RunRecord
    steps: list[StepRecord]
    waits: list[Wait]
    """Every question, with its answer."""
    recorded_us: int


Event = Predictions | Labels | Rejected | Lost | Call | Feedback | Searched | Compared | RunTold
