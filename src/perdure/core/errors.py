"""The one error tree. Raise a leaf; its message says what happened, what was expected, what to do.

PerdureError                     code, facts, hint; HTTP status and exit code by family
├── DeclarationError   422, 2    a declaration or an input is wrong
│   ├── BadContract, BadView, BadModel, BadSource, BadObjective, BadSettings, BadProject, BadWorkflow
│   ├── BadRoute, BadGuard, BadTeam, BadPrompt, BadSuite, BadJudge, BadIndex
│   ├── BadAgent, BadGraph
│   ├── BadRow                   rows that break their contract, with all their errors
│   ├── TooFewRows               fewer rows than a statistic needs
│   ├── TooLarge       413       a request over the limit
│   └── BadRequest     400       a request that is not even readable
│       ├── WrongMethod     405  a path asked with a method that it does not answer
│       ├── UnsupportedMedia 415 a body in a format that is not read here
│       ├── TooSlow         408  a body that did not come in time
│       └── KeyReused       409  an idempotency key that was sent with another request
├── NotFound           404, 3    a name that is not there; says the nearest one
├── NotReady           503, 4    not yet, or not now; retry after `delay_s`
│   ├── LostLease                somebody else holds the lease: this worker may change nothing
│   └── LeaseHeld                another control plane works; wait
├── Refused            403, 5    allowed in principle, refused on these facts
│   ├── Unauthorized   401       no key, or one that is not known
│   ├── Blocked        400       a guard found what it must not pass
│   ├── BudgetSpent    429       no money left in this window
│   ├── UntrustedArtifact        a pickle whose digest the ledger does not know
│   ├── Cancelled                a durable job that somebody called off
│   └── StepFailed               a durable step that failed for good
├── LimitReached       429, 4    too much at once; temporary
├── StoreError         503, 6    a store failed, or holds what it should not
│   ├── Conflict                 somebody wrote first
│   ├── Corrupt                  bytes do not match their checksum; set aside
│   └── StoreFull                the disk is full
├── UpstreamError      502, 7    a system that we call failed
│   ├── UpstreamTimedOut 504     no answer in time
│   ├── UpstreamBusy     429     it takes no more calls now
│   ├── UpstreamCut              the connection broke before the answer was whole
│   └── UpstreamBad              what came is no answer
└── MissingExtra       501, 8    an optional library is needed; names the pip command

Mixins `Temporary` (try again after `delay_s`) and `Permanent` are what the loop reads.
Drift is a finding, never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar


class Temporary:
    """Mixin: the same call may succeed later.

    `delay_s` is the wait before the next try, in seconds.
    """

    delay_s: float = 1.0


class Permanent:
    """Mixin: the same call fails again until somebody changes something."""


class PerdureError(Exception):
    """Root of everything that perdure raises on purpose.

    Args:
        message: what happened, what was expected.
        hint: what to do now, a sentence in the imperative.
        facts: machine-readable details, JSON-compatible.
    """

    code: ClassVar[str] = "perdure"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts: dict[str, Any] = facts

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip() if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes between processes: as it is, not by its constructor, which takes more than what Python keeps of it."""
        return _again, (type(self), self.message, self.__dict__)

    def as_dict(self) -> dict[str, Any]:
        """The error as it goes over HTTP and into `--json`: code, message, hint, facts."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "facts": self.facts}


class DeclarationError(PerdureError, Permanent, ValueError):
    """A declaration or an input is wrong; nothing was changed."""

    code = "declaration"
    status = 422
    exit_code = 2


class BadContract(DeclarationError):
    """A contract uses a type or constraint that perdure cannot check."""

    code = "declaration.contract"


class BadView(DeclarationError):
    """A feature view cannot be traced, or names a column its source does not have."""

    code = "declaration.feature_view"


class BadModel(DeclarationError):
    """A model lacks a method or a declaration it must have."""

    code = "declaration.model"


class BadSource(DeclarationError):
    """A source cannot be read as its contract says."""

    code = "declaration.source"


class BadObjective(DeclarationError):
    """An objective names no known signal, or a bound without a meaning."""

    code = "declaration.objective"


class BadSettings(DeclarationError):
    """perdure.toml or the environment holds a key or value that means nothing."""

    code = "declaration.settings"


class BadProject(DeclarationError):
    """The project's package cannot be loaded, or declares two things under one name."""

    code = "declaration.project"


class BadWorkflow(DeclarationError):
    """A workflow does not ask for its steps as it did before, or for one of them twice."""

    code = "declaration.workflow"


class BadRoute(DeclarationError):
    """A route, a target or an upstream is declared in a way that means nothing."""

    code = "declaration.route"


class BadGuard(DeclarationError):
    """A guard or a check is declared in a way that means nothing."""

    code = "declaration.guard"


class BadTeam(DeclarationError):
    """A team, a budget or a limit is declared in a way that means nothing."""

    code = "declaration.team"


class BadPrompt(DeclarationError):
    """A prompt cannot be read or rendered, or is given other variables than it has."""

    code = "declaration.prompt"


class BadSuite(DeclarationError):
    """A suite or its cases are wrong: a wrong type, two cases of one id, a case that stands in a prompt's examples."""

    code = "declaration.suite"


class BadJudge(DeclarationError):
    """A judge is declared wrongly, or its anchor set cannot be read."""

    code = "declaration.judge"


class BadIndex(DeclarationError):
    """An index cannot mean anything: its documents, chunks, vectors, metadata or golden questions."""

    code = "declaration.index"


class BadAgent(DeclarationError):
    """An agent, a tool or a limit is declared in a way that means nothing, or names what is not there."""

    code = "declaration.agent"


class BadGraph(DeclarationError):
    """A graph cannot run: a circle, a type that does not fit, a node or a variable that is not there."""

    code = "declaration.graph"


class BadRow(DeclarationError):
    """Rows break their contract. `errors` lists every error of every row."""

    code = "contract.row"

    def __init__(self, message: str, *, errors: Sequence[Mapping[str, Any]], hint: str = "", **facts: Any) -> None:
        super().__init__(message, hint=hint, errors=list(errors), **facts)
        self.errors = list(errors)


class BadRequest(DeclarationError):
    """A request that cannot be read at all."""

    code = "request.unreadable"
    status = 400


class WrongMethod(BadRequest):
    """A path that exists, asked with a method that it does not answer."""

    code = "request.method"
    status = 405


class UnsupportedMedia(BadRequest):
    """A body in a format or encoding that is not read here."""

    code = "request.media"
    status = 415


class TooSlow(BadRequest):
    """A body that did not come whole in time."""

    code = "request.too_slow"
    status = 408


class KeyReused(BadRequest):
    """An `Idempotency-Key` that was sent with another request before."""

    code = "request.key_reused"
    status = 409


class TooFewRows(DeclarationError):
    """Fewer rows than the statistic needs. Facts: `n`, `n_needed`."""

    code = "declaration.too_few_rows"


class TooLarge(DeclarationError):
    """A request over the size limit."""

    code = "request.too_large"
    status = 413


class NotFound(PerdureError, Permanent, LookupError):
    """A name that is not there."""

    code = "not_found"
    status = 404
    exit_code = 3


class NotReady(PerdureError, Temporary):
    """Not yet, or not now. `delay_s` says when to try again."""

    code = "not_ready"
    status = 503
    exit_code = 4

    def __init__(self, message: str, *, hint: str = "", delay_s: float = 1.0, **facts: Any) -> None:
        super().__init__(message, hint=hint, **facts)
        self.delay_s = delay_s


class LostLease(NotReady):
    """The lease went to another worker: this one may change nothing any more."""

    code = "lease.lost"


class LeaseHeld(NotReady):
    """Another worker holds the lease and is at work."""

    code = "lease.held"


class Refused(PerdureError, Permanent, PermissionError):
    """Allowed in principle, refused on these facts."""

    code = "refused"
    status = 403
    exit_code = 5


class UntrustedArtifact(Refused):
    """An artifact that can run code, and whose digest the ledger does not know."""

    code = "refused.untrusted_artifact"


class Cancelled(Refused):
    """A durable job was called off: its workflow may clean up, and ends."""

    code = "refused.cancelled"


class StepFailed(Refused):
    """A step of a durable job failed for good: it is not done again. Facts: `step`, `type`."""

    code = "refused.step_failed"


class Unauthorized(Refused):
    """No key, or one that is not known, was revoked or is over."""

    code = "unauthorized"
    status = 401


class Blocked(Refused):
    """A guard found what it must not pass."""

    code = "blocked"
    status = 400


class LimitReached(PerdureError, Temporary):
    """Too much at once; `delay_s` says when there is room again."""

    code = "limit_reached"
    status = 429
    exit_code = 4


class BudgetSpent(Refused):
    """No money left in this window; the facts say until when."""

    code = "budget_spent"
    status = 429


class StoreError(PerdureError, OSError):
    """A store failed, or holds what it should not."""

    code = "store"
    status = 503
    exit_code = 6


class Conflict(StoreError, Temporary):
    """Somebody wrote first; read again and retry."""

    code = "store.conflict"


class Corrupt(StoreError, Permanent):
    """Stored bytes do not match their checksum; they were set aside, not used."""

    code = "store.corrupt"


class StoreFull(StoreError, Temporary):
    """No room left on the device of a store."""

    code = "store.full"


class UpstreamError(PerdureError, Temporary, ConnectionError):
    """A system that perdure calls failed."""

    code = "upstream"
    status = 502
    exit_code = 7


class UpstreamTimedOut(UpstreamError, TimeoutError):
    """No answer, or no further piece of it, in time."""

    code = "upstream.timed_out"
    status = 504


class UpstreamBusy(UpstreamError):
    """It takes no more calls now; `delay_s` as it asked for."""

    code = "upstream.busy"
    status = 429


class UpstreamCut(UpstreamError):
    """The connection broke before the answer was whole."""

    code = "upstream.cut"


class UpstreamBad(UpstreamError):
    """What came is no answer in this dialect."""

    code = "upstream.bad"


class MissingExtra(PerdureError, Permanent, ImportError):
    """An optional library is needed."""

    code = "missing_extra"
    status = 501
    exit_code = 8

    def __init__(self, extra: str, *, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the extra {extra!r}, which is not installed.",
            hint=f"Run: pip install 'perdure[{extra}]'",
            extra=extra,
        )


def _again(kind: type[PerdureError], message: str, state: Mapping[str, Any]) -> PerdureError:
    made = kind.__new__(kind)
    PerdureError.__init__(made, message)
    made.__dict__.update(state)
    return made


_MOST_COMPARED = 2_000
"""Names that another is compared with, each in about 20 µs: whoever asks for what there is not must cost nobody a second."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is near, or thousands are known.

    >>> nearest("air_tme", ["air_time", "fares"])
    'air_time'
    """
    names = list(known)
    if len(names) > _MOST_COMPARED:
        return None
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return found[0] if found else None


def not_found(what: str, name: str, known: Iterable[str]) -> NotFound:
    """A `NotFound` for `name` that names the nearest known one, or lists a few.

    >>> print(not_found("model", "air_tme", ["air_time"]))
    There is no model 'air_tme'. Did you mean 'air_time'?
    """
    names = sorted(known)
    near = nearest(name, names)
    if near is not None:
        hint = f"Did you mean {near!r}?"
    elif names:
        hint = f"Known: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}."
    else:
        hint = f"No {what} is declared yet."
    return NotFound(f"There is no {what} {name!r}.", hint=hint, what=what, name=name, nearest=near)
