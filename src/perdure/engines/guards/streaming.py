"""One streamed answer, judged while it passes: what may still become part of a match is held back.

A place of the text is judged for good when as many characters stand behind it as the longest match may take (`hold_back` at most):
until then it is not sent. So it does not matter where the upstream cut its pieces: what comes out is what the whole text would have
come to. The work of a piece is bounded by the held text, and pieces are gathered until a scan is worth it.

- Pointing checks: exact, as long as a match is not longer than `hold_back`; tokens and key blocks without an end are held to theirs.
- Scoring checks: windows of twice `hold_back` are judged as they pass; what was sent before its window looked bad is gone.
- Checks of whole answers (`fits_schema`, `grounded`, `tool_calls`) judge at the end. In mode `block` everything is held until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perdure.engines.guards.checks import PointingCheck, ScoringCheck, TextCheck
from perdure.engines.guards.folding import unveiled
from perdure.engines.guards.masking import Masks
from perdure.engines.guards.protocols import Verdict
from perdure.engines.guards.stretches import Finder, Gate, Hit, merged

Json = dict[str, Any]
_CONTEXT = 16  # characters kept of what was sent: patterns look behind
_TAIL = 72  # characters behind a tail that may still belong to it
_SLACK = 2  # characters behind a match that decide about it
_LEAST_STRIDE = 16
_FORGET = 512  # characters that were sent are forgotten so many at a time


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """What a filter looks for, and what it does about it."""

    mode: str
    hold_back: int
    checks: tuple[TextCheck, ...]
    end: Callable[[Json], Verdict] | None
    """Judges the whole answer; None where no check needs it."""


@dataclass(slots=True, eq=False)
class _Cursor:
    """How far one finder has come in the buffer."""

    finder: Finder
    lag: int
    at: int = 0


@dataclass(slots=True, eq=False)
class _Group:
    """The finders of a check that share a gate; where it is shut, all of them have come as far."""

    check: PointingCheck
    gate: Gate | None
    cursors: list[_Cursor]
    lag: int
    back: int
    at: int = 0
    """The least that its cursors have come."""


def _groups(check: PointingCheck, hold_back: int) -> list[_Group]:
    groups = []
    for gate, finders in check.groups:
        cursors = [_Cursor(finder, min(finder.longest, hold_back) + _SLACK) for finder in finders]
        lag, back = max(each.lag for each in cursors), max(finder.back for finder in finders)
        groups.append(_Group(check, gate, cursors, lag, back))
    return groups


class SlidingFilter:
    """The filter of one guard for one streamed answer; made by `CompiledGuard.filter`. For one thread at a time.

    Args:
        watch: what is looked for.
        masks: the masks of this answer.
    """

    def __init__(self, watch: Watch, masks: Masks) -> None:
        self.masks = masks
        self._watch = watch
        self._verdict = Verdict(found=False)
        self._passes = watch.mode in ("warn", "shadow")
        self._groups = [
            group
            for check in watch.checks
            if isinstance(check, PointingCheck)
            for group in _groups(check, watch.hold_back)
        ]
        self._scoring = [check for check in watch.checks if isinstance(check, ScoringCheck)]
        self._lag = max([each.lag for each in self._groups] + [watch.hold_back] * bool(self._scoring), default=0)
        self._stride = max(_LEAST_STRIDE, self._lag // (2 if self._scoring else 4))
        self._holds = watch.end is not None and watch.mode == "block"
        self._whole: list[str] = []
        self._weights: dict[int, float] = {}
        self._hits: list[Hit] = []
        self._text = ""
        self._raw = ""
        self._places: list[int] | None = None
        self._sent = 0  # the text before it was sent
        self._sent_raw = 0  # and so was what it was made of
        self._new = 0  # characters that came since the last scan
        self._closed = False

    @property
    def verdict(self) -> Verdict:
        """So far."""
        return self._verdict

    @property
    def held(self) -> str:
        """What of everything fed so far is still held back, as it came."""
        if self._closed or self._passes:
            return ""
        return "".join(self._whole) if self._holds else self._raw[self._sent_raw :]

    def feed(self, text: str) -> str:
        """What may be sent now of everything fed so far. With mode `block`, nothing more once something is found."""
        if self._closed or not text:
            return ""
        if self._watch.end is not None:
            self._whole.append(text)
        if self._holds:
            return ""
        if not self._lag:
            return text
        self._append(text)
        # What is held beyond the lag is one long token: scanned at ever longer strides, the sum of all scans stays linear.
        due = self._new >= max(self._stride, (len(self._text) - self._sent - self._lag) // 2)
        sent = self._scan(final=False) if due else ""
        return text if self._passes else sent

    def end(self, answer: Json | None = None) -> str:
        """What may be sent of what was still held back.

        Args:
            answer: the whole neutral answer with its tool calls, where the caller has it; else the text that was fed.
        """
        if self._closed:
            return ""
        held = ""
        if self._watch.end is not None and not self._verdict.found:
            whole = "".join(self._whole)
            self._keep(self._watch.end({"content": whole} if answer is None else answer))
            if self._holds:
                if self._verdict.found:
                    self._closed = True
                    return ""
                self._append(whole)
        if self._lag:
            held = self._scan(final=True)
        elif self._holds:
            held = self._raw
        self._closed = True
        return "" if self._passes else held

    def _append(self, text: str) -> None:
        seen = unveiled(text)
        if seen.places is not None and self._places is None:
            self._places = list(range(len(self._text)))
        if self._places is not None:
            begin = len(self._raw)
            self._places += [begin + place for place in seen.places or range(len(seen.text))]
        self._text += seen.text
        self._raw += text
        self._new += len(text)

    def _scan(self, *, final: bool) -> str:
        self._new = 0
        settled = len(self._text)
        try:
            for group in self._groups:
                self._advance(group, final=final)
                settled = min(settled, group.at - group.back)
            for check in self._scoring:
                self._score(check)
        except Exception as error:  # noqa: BLE001 - functions of users and model libraries may raise anything
            name = type(error).__name__
            self._keep(Verdict(False, failed=f"a check of a stream raised {name}"))
            self._groups, self._scoring = [], []
        if self._scoring and not final:
            settled = min(settled, len(self._text) - self._watch.hold_back)
        if self._verdict.found and self._watch.mode == "block":
            self._closed = True
            return ""
        if self._closed:
            return self._closing()
        return self._release(max(self._sent, settled), final=final)

    def _advance(self, group: _Group, *, final: bool) -> None:
        """Take the hits that no further text can change, and go on to the first place that it can."""
        size, check = len(self._text), group.check
        window = self._text[max(0, group.at - group.back) :]
        shut = (check.may_hold is not None and not check.may_hold(window)) or (
            group.gate is not None and not group.gate(window)
        )
        if shut:
            # Cursors that are behind are moved when they are next asked: most are never.
            group.at = max(group.at, size if final else size - group.lag + 1)
            return
        for cursor in group.cursors:
            cursor.at = max(cursor.at, group.at)
            self._find(check, cursor, final=final)
        group.at = min(cursor.at for cursor in group.cursors)

    def _find(self, check: PointingCheck, cursor: _Cursor, *, final: bool) -> None:
        size = len(self._text)
        settled = size + 1 if final else size - cursor.lag + 1
        if settled <= cursor.at:
            return
        for hit in cursor.finder.find(self._text, cursor.at):
            open_end = cursor.finder.tail is not None and hit.after + _TAIL > size
            if not final and (hit.at >= settled or open_end):
                cursor.at = max(cursor.at, min(settled, hit.at))
                return
            self._take(check, hit)
            cursor.at = hit.after
        cursor.at = max(cursor.at, settled)

    def _take(self, check: PointingCheck, hit: Hit) -> None:
        total = self._weights.get(id(check), 0.0) + hit.weight
        self._weights[id(check)] = total
        if total >= check.threshold:
            self._hits.append(hit)
            self._keep(Verdict(True, check.name, hit.kind, 1.0))

    def _score(self, check: ScoringCheck) -> None:
        window = self._raw[-2 * self._watch.hold_back :]
        finding = check.judge(window) if window.strip() else None
        if finding is not None:
            self._keep(Verdict(True, check.name, finding.kind, finding.score))
            self._closed = not self._passes

    def _keep(self, verdict: Verdict) -> None:
        if not self._verdict.found and (verdict.found or (verdict.failed and not self._verdict.failed)):
            self._verdict = verdict

    def _closing(self) -> str:
        """Mode `redact`, and a score too high: one mask for all that was held and all that comes."""
        return self.masks.mask(self._raw[self._sent_raw :], self._verdict.check)

    def _release(self, settled: int, *, final: bool) -> str:
        """What is settled, masked; a stretch that reaches beyond is held whole."""
        settled = len(self._text) if final else min(settled, len(self._text))
        pieces, at = [], self._sent_raw
        for span in merged(self._hits) if self._watch.mode == "redact" else ():
            if span.end > settled:
                settled = min(settled, span.start)
                break
            start, end = self._place(span.start), self._place(span.end)
            pieces += [self._raw[at:start], self.masks.mask(self._raw[start:end], span.kind)]
            at = end
        self._sent_raw = len(self._raw) if final else max(at, self._place(settled))
        pieces.append(self._raw[at : self._sent_raw])
        self._hits = [hit for hit in self._hits if hit.start >= settled]
        self._sent = settled
        self._forget()
        return "".join(pieces)

    def _place(self, index: int) -> int:
        if self._places is None:
            return index
        return self._places[index] if index < len(self._places) else len(self._raw)

    def _forget(self) -> None:
        kept = _CONTEXT + (2 * self._watch.hold_back if self._scoring else 0)
        cut = self._sent - kept
        if cut <= _FORGET:
            return
        begin = self._place(cut)
        self._text, self._raw = self._text[cut:], self._raw[begin:]
        if self._places is not None:
            self._places = [place - begin for place in self._places[cut:]]
        self._sent -= cut
        self._sent_raw -= begin
        for group in self._groups:
            group.at -= cut
            for cursor in group.cursors:
                cursor.at -= cut
        self._hits = [
            Hit(hit.start - cut, hit.end - cut, hit.kind, hit.at - cut, hit.after - cut, hit.weight)
            for hit in self._hits
        ]
