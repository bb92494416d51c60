"""What a dialect does: translate between its own wire format and the neutral one.

The neutral form is OpenAI's chat completion, as plain JSON data: a request `{"model", "messages", "tools", …}`, an answer
`{"id", "choices", "usage", …}`, and for streams its chunks (`chat.completion.chunk`). A client that speaks Anthropic is
*read* by that dialect's `Inbound`; an upstream that speaks Gemini is *called* by that dialect's `Outbound`. Where both sides
speak the same, the gateway passes bytes and none of this is used but `read_usage` and `StreamMeter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from perdure.core.usage import Usage

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as an upstream wants it."""

    path: str
    """Joined to the upstream's address, such as `/chat/completions`."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside content type and length; the secret is among them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of an upstream in neutral words."""

    status: int
    message: str
    kind: str
    """OpenAI's `type`, such as `invalid_request_error`, `rate_limit_error`, `server_error`."""
    code: str = ""
    """OpenAI's `code`, such as `context_length_exceeded`."""


class ChunkReader(Protocol):
    """Reads one stream of an upstream; made anew for each."""

    def feed(self, data: bytes) -> list[Json]:
        """Neutral chunks of what came, cut anywhere.

        Raises:
            UpstreamError: the stream holds an error event, or what is no event of this dialect.
        """
        ...

    @property
    def usage(self) -> Usage | None:
        """What the upstream has counted so far; None before it told."""
        ...

    @property
    def done(self) -> bool:
        """Whether the end was said in so many words: a stream that ends before is cut."""
        ...


class EventWriter(Protocol):
    """Writes one stream to a client; made anew for each."""

    def write(self, chunks: Sequence[Json]) -> bytes:
        """The events of some neutral chunks, as bytes to send; empty where there is nothing to say yet."""
        ...

    def end(self) -> bytes:
        """The last events of a stream that came to its end."""
        ...

    def fail(self, failure: Failure) -> bytes:
        """The error event with which a stream that was cut ends."""
        ...


class Inbound(Protocol):
    """The side that clients speak."""

    name: str

    def read(self, body: Json) -> Json:
        """The neutral request of a client's.

        Raises:
            BadRequest: it lacks what it must have, or has it of the wrong type; in words for the client.
        """
        ...

    def write(self, answer: Json) -> bytes:
        """The neutral answer in the client's words."""
        ...

    def write_error(self, failure: Failure, call_id: str) -> bytes:
        """An error object as this dialect's SDKs read it."""
        ...

    def events(self, request: Json) -> EventWriter:
        """A writer for the stream of a neutral request."""
        ...


class Outbound(Protocol):
    """The side that upstreams speak."""

    name: str

    def write(self, request: Json, model: str, secret: str) -> Outgoing:
        """A neutral request as this upstream wants it, for one of its models.

        Raises:
            BadRequest: the request asks for what this dialect cannot say.
        """
        ...

    def read(self, body: bytes) -> tuple[Json, Usage | None]:
        """The neutral answer of an upstream's, and what it counted.

        Raises:
            UpstreamError: it is no answer.
        """
        ...

    def read_error(self, status: int, body: bytes) -> Failure:
        """What an upstream's error means; never raises, whatever the body is."""
        ...

    def chunks(self) -> ChunkReader:
        """A reader for one stream."""
        ...
