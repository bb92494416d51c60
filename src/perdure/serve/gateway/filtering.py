"""Guards of answers over a stream of neutral chunks: each text of each choice passes its own filters, and may come out later.

What a filter holds back goes out with the choice's finish. Where a guard that blocks needs the whole answer, tool calls are held
until then too. Text that a model thinks aloud passes the same filters: what must not be said must not be thought aloud either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perdure.engines.guards.masking import Restoring
from perdure.engines.guards.protocols import Filter, Verdict
from perdure.serve.gateway.caching_replay import Joining
from perdure.serve.gateway.guarding import Armed, Guarding

Json = dict[str, Any]
Note = Callable[[Armed, Filter], None]
"""Records what a filter has found, and acts on it: see `Guarding.note_stream`."""

_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")


class _Line:
    """One text of one choice on its way past every filter, then past the masks that are put back."""

    __slots__ = ("_filters", "_restoring")

    def __init__(self, filters: list[tuple[Armed, Filter]], restoring: Restoring) -> None:
        self._filters = filters
        self._restoring = restoring

    def feed(self, text: str, note: Note) -> str:
        """What may go out of what came.

        Raises:
            Blocked: a guard that blocks has found something, or one that fails closed could not look.
        """
        for each, filtered in self._filters:
            shown = filtered.feed(text)
            verdict = filtered.verdict
            if (verdict.found or verdict.failed) and each.acts and _stops(each, verdict):
                note(each, filtered)
            if each.acts:
                text = shown
        return self._restoring.feed(text)

    def held(self) -> str:
        """What the first filter holds, as it came; asked of lines that have one."""
        return self._filters[0][1].held

    def end(self, answer: Json, note: Note) -> str:
        """What was still held; every verdict is recorded.

        Raises:
            Blocked: a guard that blocks has found something.
        """
        held = ""
        for place, (each, filtered) in enumerate(self._filters):
            shown = filtered.end(answer)
            note(each, filtered)
            if each.acts:
                held += self._behind(place, shown)
        return self._restoring.feed(held) + self._restoring.end()

    def _behind(self, place: int, text: str) -> str:
        """What a filter lets go at its end still passes the filters behind it."""
        for each, filtered in self._filters[place + 1 :]:
            shown = filtered.feed(text)
            if each.acts:
                text = shown
        return text


def _stops(each: Armed, verdict: Verdict) -> bool:
    return each.guard.mode == "block" if verdict.found else each.guard.fails == "closed"


class Filtering:
    """The filters of one stream.

    Args:
        guarding: the call's guards.
        guards: those of them that look; None: all that look at answers.
        note: told what each has found; None: the call's guards are.
        restore: masks that are put back behind them; None: the call's.
    """

    def __init__(
        self,
        guarding: Guarding,
        guards: Sequence[Armed] | None = None,
        *,
        note: Note | None = None,
        restore: Mapping[str, str] | None = None,
    ) -> None:
        self._guarding = guarding
        self._guards = guarding.of_output() if guards is None else guards
        self._note = note or guarding.note_stream
        self._restore = guarding.restore if restore is None else restore
        self._lines: dict[tuple[int, str], _Line] = {}
        self._came = Joining()
        self._sent = Joining()
        self._held: dict[int, list[Json]] = {}
        whole = [each for each in self._guards if each.guard.whole]
        self._needs_whole = bool(whole)
        self._holds = any(each.acts and each.guard.mode == "block" for each in whole)
        self.finished = False
        """Whether the upstream has said why it ended: what it has counted by then is all of it."""
        self.n_text = 0
        """Bytes of text and arguments that the upstream sent, for estimates."""

    def feed(self, chunks: Sequence[Json]) -> list[Json]:
        """The chunks that may go out now.

        Raises:
            Blocked: a guard that blocks has found something.
        """
        if self._needs_whole:
            self._came.add(chunks)
        passed = [shown for chunk in chunks if (shown := self._chunk(chunk)) is not None]
        self._sent.add(passed)
        return passed

    def end(self) -> list[Json]:
        """The chunks that are still to go out at the end of a stream: of choices that never said that they were finished.

        Raises:
            Blocked: a guard that blocks has found something.
        """
        indexes = sorted({index for index, _ in self._lines} | set(self._held))
        chunks = self._as_chunks([(index, self._rest(index)) for index in indexes])
        self._sent.add(chunks)
        return chunks

    def held(self) -> list[Json]:
        """What one guard holds back now, as it came, in chunks; it stays held."""
        rest: dict[int, Json] = {index: {"tool_calls": list(calls)} for index, calls in self._held.items()}
        for (index, name), line in self._lines.items():
            if text := line.held():
                rest.setdefault(index, {})[name] = text
        return self._as_chunks(sorted(rest.items()))

    def _as_chunks(self, deltas: Sequence[tuple[int, Json]]) -> list[Json]:
        choices = [{"index": index, "delta": delta, "finish_reason": None} for index, delta in deltas if delta]
        return [{**self._sent.own, "object": "chat.completion.chunk", "choices": choices}] if choices else []

    def answer(self) -> Json:
        """The whole answer as the client got it."""
        return self._sent.answer()

    def _chunk(self, chunk: Json) -> Json | None:
        choices = chunk.get("choices")
        if not choices:
            return chunk
        passed = [shown for part in choices if (shown := self._part(part)) is not None]
        return {**chunk, "choices": passed} if passed or chunk.get("usage") else None

    def _part(self, part: Json) -> Json | None:
        index, delta = part.get("index", 0), dict(part.get("delta") or {})
        said_something = False
        for name in _TEXTS:
            text = delta.get(name)
            if isinstance(text, str) and text:
                said_something = True
                self.n_text += len(text.encode())
                delta[name] = self._line(index, name).feed(text, self._note)
                if not delta[name]:
                    del delta[name]
        calls = delta.get("tool_calls")
        if calls:
            said_something = True
            self.n_text += sum(len(str((call.get("function") or {}).get("arguments") or "")) for call in calls)
            if self._holds:
                self._held.setdefault(index, []).extend(delta.pop("tool_calls"))
        if part.get("finish_reason"):
            self.finished = True
            delta = _added(delta, self._rest(index))
        elif said_something and not delta:
            return None
        return {**part, "delta": delta}

    def _line(self, index: int, name: str) -> _Line:
        line = self._lines.get((index, name))
        if line is None:
            line = self._lines[index, name] = _Line(self._guarding.filters(self._guards), Restoring(self._restore))
        return line

    def _rest(self, index: int) -> Json:
        """Everything of a choice that is still held; its filters are done."""
        answer = self._answer(index)
        if self._needs_whole and (index, "content") not in self._lines:
            self._line(index, "content")
        rest: Json = {}
        for name in _TEXTS:
            line = self._lines.pop((index, name), None)
            held = "" if line is None else line.end(answer, self._note)
            if held:
                rest[name] = held
        calls = self._held.pop(index, None)
        return {**rest, "tool_calls": calls} if calls else rest

    def _answer(self, index: int) -> Json:
        return self._came.answer(index) if self._needs_whole else {}


def _added(delta: Json, rest: Json) -> Json:
    """A delta with what was held of its choice behind what it has itself."""
    for name, value in rest.items():
        delta[name] = delta[name] + value if name in delta else value
    return delta
