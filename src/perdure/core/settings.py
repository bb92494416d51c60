"""Settings: `perdure.toml` in the project's folder, then the environment (`PERDURE_…`).

An unknown key is an error that names the nearest known one; so is a value of the wrong type.
The environment spells `[serve] port` as `PERDURE_SERVE_PORT`. Reading files is the caller's job
(`surface`): this module parses and checks.

`[roles]` is the one section whose keys are the project's own: names of roles, each with the people
that have it. `PERDURE_ACTOR` says who acts in one process; it is no setting.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from perdure.core.errors import BadSettings, nearest

ACTOR = "PERDURE_ACTOR"
"""The environment's variable that says who acts, where a command names nobody."""
ROLES = "roles"
"""The section whose keys are the project's own."""
_ROLE = re.compile(r"[a-z][a-z0-9_]*")
_AUTONOMY = ("observe", "propose", "act")
_FORMATS = ("json", "slack")
_FAILS = ("open", "closed")
_EXPIRED = ("charge", "release")
_MOST_WORKERS = 64
_CONSOLE_CLOCKS = ("round", "machine")
_MOST_SESSION_H = 8_760.0


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What is loaded, and under which name it is kept."""

    name: str = "default"
    """Project name on every record."""
    package: str = ""
    """Python package or module that declares the assets, such as `flights` or `declarations`."""
    actor: str = "local"
    """Who acts when nobody is named: written on every record."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the system remembers. Embedded by default."""

    root: str = ".perdure"
    """Folder of the embedded stores, relative to perdure.toml."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The data plane."""

    host: str = "127.0.0.1"
    """Address to bind."""
    port: int = 8400
    """Port to bind; 0 takes a free one."""
    max_body_bytes: int = 4_000_000
    """Larger requests are answered 413."""
    max_rows: int = 10_000
    """Rows a request may carry."""
    poll_ms: int = 200
    """How often the ledger's sequence number is read."""
    replay: bool = False
    """Accept domain time from requests (header `perdure-now`)."""
    searches: str = "redacted"
    """What is kept of the questions that indexes are asked: `redacted`, without personal data and secrets; `full`; or `none`."""
    workers: int = 1
    """Processes of `perdure serve` that share the port. Each has `/metrics` of its own, and with `[gateway] cache = "memory"` its own answers; limits and budgets hold over all of them."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= _MOST_WORKERS:
            raise BadSettings(
                f"serve.workers is {self.workers!r}, but it must be 1 to {_MOST_WORKERS}.", key="serve.workers"
            )
        if self.searches not in ("redacted", "full", "none"):
            raise BadSettings(
                f"serve.searches is {self.searches!r}, but it must be redacted, full or none.", key="serve.searches"
            )


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """The taps."""

    segment_bytes: int = 16_000_000
    """A segment is closed and a new one begun at this size."""
    min_free_bytes: int = 64_000_000
    """Below this much free disk, captures are counted as lost rather than written."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """The control plane."""

    tick_s: float = 10.0
    """Seconds between two rounds in `perdure up`."""
    lease_ttl_s: float = 15.0
    """A worker that is silent so long loses its lease."""
    skew_sample: int = 500
    """Served vectors recomputed offline, a model and a round of observing skew."""
    autonomy: str = "act"
    """The most that the loop may do alone, whatever an asset's policy says: `observe`, `propose` or `act`."""

    def __post_init__(self) -> None:
        if self.autonomy not in _AUTONOMY:
            near = nearest(self.autonomy, _AUTONOMY)
            raise BadSettings(
                f"loop.autonomy is {self.autonomy!r}, but it must be {', '.join(_AUTONOMY[:-1])} or {_AUTONOMY[-1]}.",
                hint=f"Did you mean {near!r}?" if near else "",
                key="loop.autonomy",
                nearest=near,
            )


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Who is told of incidents, and how. Without `url` nobody is."""

    url: str = ""
    """Where alerts are posted, `https://…` or `http://…`. It may be a secret itself: then give it by `PERDURE_ALERTS_URL`."""
    format: str = "json"
    """`json`, signed and with everything that is known; or `slack`: a text, as Slack and its like read it."""
    secret_env: str = ""
    """Name of the environment's variable that holds the secret to sign with: no secret stands in a file. `json` needs one. Names that begin with `PERDURE_` are settings, and cannot be taken."""
    timeout_s: float = 5.0
    """A try that takes longer has failed; a round waits no longer for it."""
    min_interval_s: float = 0.0
    """Changes of one incident within so many seconds of its last alert come together in the next one."""
    keep_h: float = 72.0
    """Hours after which an alert that could not be delivered is given up; what is older is not told at all."""

    def __post_init__(self) -> None:
        if self.format not in _FORMATS:
            raise BadSettings(
                f"alerts.format is {self.format!r}, but it must be {' or '.join(_FORMATS)}.", key="alerts.format"
            )
        for key in ("timeout_s", "keep_h"):
            if not 0.0 < getattr(self, key) < float("inf"):
                raise BadSettings(
                    f"alerts.{key} is {getattr(self, key)!r}, but it must be above 0.", key=f"alerts.{key}"
                )
        if not 0.0 <= self.min_interval_s < float("inf"):
            raise BadSettings(f"alerts.min_interval_s is {self.min_interval_s!r}, but it must be 0 or more.")
        if self.url:
            self._check_url()

    def _check_url(self) -> None:
        _check_address(self.url, "alerts", "alerts are signed")
        if self.format == "json" and not self.secret_env:
            raise BadSettings(
                "alerts.url is set, but nothing says with which secret alerts are signed.",
                hint='Write secret_env = "NAME" under [alerts], and put the secret into that environment variable.',
                key="alerts.secret_env",
            )


def _check_address(url: str, section: str, instead: str) -> None:
    """Refuse what is no address of HTTP. It is never told: that of a chat is a secret."""
    key = f"{section}.otlp_url" if section == "telemetry" else f"{section}.url"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isascii()
    except ValueError:
        good, parts = False, None
    if not good or parts is None or any(each.isspace() for each in url):
        raise BadSettings(f"{key} is no address of HTTP.", hint="Write https://HOST/PATH, or http://….", key=key)
    if parts.username is not None or parts.fragment:
        raise BadSettings(
            f"{key} has a name, a password or a fragment in it, which are not sent.",
            hint=f"Leave it out: {instead}.",
            key=key,
        )


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where spans of the gateway's calls go (extra `otel`). Without `otlp_url` none are made."""

    otlp_url: str = ""
    """A collector that speaks OTLP over HTTP, such as `http://127.0.0.1:4318`; `/v1/traces` is added where it is missing."""
    headers_env: str = ""
    """Name of the environment's variable with headers to send, `name=value,name=value`, such as a collector's key: no secret stands in a file. Names that begin with `PERDURE_` are settings, and cannot be taken."""
    timeout_s: float = 5.0
    """A try that takes longer has failed; a round waits no longer for it."""

    def __post_init__(self) -> None:
        if self.otlp_url:
            _check_address(self.otlp_url, "telemetry", "secrets go into headers_env")
        if not 0.0 < self.timeout_s < float("inf"):
            raise BadSettings(
                f"telemetry.timeout_s is {self.timeout_s!r}, but it must be above 0.", key="telemetry.timeout_s"
            )


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Calls of generative models."""

    max_calls: int = 1000
    """Calls under way at a time. Before it is reached those of low priority are turned away (429): of priority 0 at 70 % of it, 1 at 80 %, 2 at 90 %."""
    max_body_bytes: int = 32_000_000
    """Larger requests are answered 413: pictures travel in them."""
    body_seconds: float = 30.0
    """A request whose body is not whole by then is answered 408, and its connection closed."""
    threads: int = 4
    """Threads for checks of guards that take more than a millisecond, and for embeddings of the cache."""
    cache: str = "memory"
    """Where answers are kept: `memory`, of this process; `sqlite`, a file beside the other stores that the workers of this machine share; or `redis://…` (extra `redis`). It may hold a password: then give it by `PERDURE_GATEWAY_CACHE`."""
    ca_file: str = ""
    """File of certificates that upstreams are trusted by; empty: the system's."""

    def __post_init__(self) -> None:
        if self.cache not in ("memory", "sqlite") and not self.cache.startswith(("redis://", "rediss://", "unix://")):
            raise BadSettings(
                "gateway.cache is neither memory, sqlite nor an address of Redis.",
                hint="Write memory, sqlite, or redis://HOST:PORT/0.",
                key="gateway.cache",
            )
        if not 0.0 < self.body_seconds < float("inf"):
            raise BadSettings(
                f"gateway.body_seconds is {self.body_seconds!r}, but it must be above 0.", key="gateway.body_seconds"
            )
        if self.max_calls < 1 or self.threads < 1:
            raise BadSettings("gateway.max_calls and gateway.threads must be 1 or more.", key="gateway.max_calls")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Where callers' limits and budgets are counted, and what happens when that store is away."""

    url: str = ""
    """`redis://…`, `rediss://…` or `unix://…`, so that several hosts share them (extra `redis`); empty: a file beside the other stores, which every worker of this machine shares. It may hold a password: then give it by `PERDURE_LIMITS_URL`."""
    fail_limits: str = "open"
    """While the store is away: `open`, each minute has again what this worker had leased in the last whole one, and it keeps the slots that it had; `closed`, what is leased for the present minute is used, and then calls are refused."""
    fail_budgets: str = "closed"
    """While the store is away what this worker had leased before is spent, and no more: `open`, to its end; `closed`, until its hold is over, when others may have it."""
    expired: str = "charge"
    """What becomes of money and tokens that a dead worker had kept aside: `charge`, they count as used; `release`, they are given back, and what it had spent in its last moments is not counted."""
    hold_ttl_s: float = 60.0
    """A worker that is silent so long is taken for dead."""

    def __post_init__(self) -> None:
        allowed = {"fail_limits": _FAILS, "fail_budgets": _FAILS, "expired": _EXPIRED}
        for key, known in allowed.items():
            if getattr(self, key) not in known:
                raise BadSettings(
                    f"limits.{key} is {getattr(self, key)!r}, but it must be {' or '.join(known)}.", key=f"limits.{key}"
                )
        if not 5.0 <= self.hold_ttl_s <= 86_400.0:
            raise BadSettings(
                f"limits.hold_ttl_s is {self.hold_ttl_s!r}, but it must be 5 to 86400.", key="limits.hold_ttl_s"
            )
        # The address is never told: it may hold a password.
        if self.url and not self.url.startswith(("redis://", "rediss://", "unix://")):
            raise BadSettings(
                "limits.url is no address of Redis.",
                hint="Write redis://HOST:PORT/0, rediss://… or unix://….",
                key="limits.url",
            )


@dataclass(frozen=True, slots=True)
class EvalSettings:
    """Suites that are run, and answers of production that are scored."""

    url: str = ""
    """A gateway that runs, such as `http://127.0.0.1:8400`, to ask through; empty: the project's own gateway within the command's process."""
    key_env: str = ""
    """Name of the environment's variable with a key of that gateway, best of a team named `evals`: no secret stands in a file. Names that begin with `PERDURE_` are settings, and cannot be taken."""
    concurrency: int = 8
    """Questions under way at a time, of a run."""
    budget_usd: float = 0.0
    """What one run may spend unless it says; before each batch its highest price is claimed. 0: without a limit of its own."""
    batch_cases: int = 50
    """Cases asked between two marks of progress: what a killed run may ask again at most."""
    answer_seconds: float = 120.0
    """An answer that takes longer has failed."""
    cache: bool = True
    """Answers and scores are kept by content: what did not change costs nothing again."""
    online_calls: int = 400
    """Of a window at most so many answers of production are scored: by scorers that compute evenly spread over it, by judges a sample that stays the same."""
    online_usd: float = 1.0
    """What judges may cost in a day (UTC) that are asked about production, for all prompts together; before each question its highest price is claimed. 0: they are not asked."""

    def __post_init__(self) -> None:
        if self.url:
            _check_address(self.url, "evals", "its key goes into key_env")
            if not self.key_env:
                raise BadSettings(
                    "evals.url is set, but nothing says with which key it is asked.",
                    hint='Write key_env = "NAME" under [evals], and put a key of the gateway into that environment variable.',
                    key="evals.key_env",
                )
        for name, value, least in (
            ("concurrency", self.concurrency, 1),
            ("batch_cases", self.batch_cases, 1),
            ("online_calls", self.online_calls, 1),
        ):
            if value < least:
                raise BadSettings(f"evals.{name} is {value!r}, but it must be {least} or more.", key=f"evals.{name}")
        for name, usd in (("budget_usd", self.budget_usd), ("online_usd", self.online_usd)):
            if not 0.0 <= usd < float("inf"):
                raise BadSettings(f"evals.{name} is {usd!r}, but it must be 0 or more.", key=f"evals.{name}")
        if not 0.0 < self.answer_seconds < float("inf"):
            raise BadSettings(
                f"evals.answer_seconds is {self.answer_seconds!r}, but it must be above 0.", key="evals.answer_seconds"
            )


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Runs of agents and graphs."""

    url: str = ""
    """A server that runs, such as `http://127.0.0.1:8400`: `perdure agent` asks it; empty: agents run within the command's process."""
    key_env: str = ""
    """Name of the environment's variable with a key of that server: no secret stands in a file. Names that begin with `PERDURE_` are settings, and cannot be taken."""
    keep_days: float = 30.0
    """Days after which a run that is over leaves the store of runs, and a caller's key for it is forgotten; in the lake it stays."""
    replays: int = 40
    """Recorded runs that are done again, at most, to find who is to blame for runs that went worse, and by each gate that asks for it; 0: none."""
    most_at_once: int = 64
    """Runs of callers that a serving process drives at once; four times as many more wait for their turn, and further ones are answered 429."""
    shadows_at_once: int = 4
    """Runs that a serving process does again with shadow versions at a time; what comes above that is left out, and counted. 0: none."""
    wait_s: float = 30.0
    """Seconds that a request for a run waits for its end, where it does not say: then it is answered 202."""
    poll_s: float = 1.0
    """How often a serving process looks for runs that can go on: answered, expired, or left by a process that died."""
    claim_ttl_s: float = 15.0
    """A process that is silent so long loses its runs to another."""
    approval_days: float = 30.0
    """Days after which a call that waits for a person's yes counts as refused; 0: it waits for ever."""
    max_body_bytes: int = 1_000_000
    """Larger requests for runs are answered 413."""

    def __post_init__(self) -> None:
        if self.url:
            _check_address(self.url, "agents", "its key goes into key_env")
        for name in ("wait_s", "poll_s", "claim_ttl_s"):
            if not 0.0 < getattr(self, name) <= 300.0:
                raise BadSettings(
                    f"agents.{name} is {getattr(self, name)!r}, but it must be above 0, and 300 at most.",
                    key=f"agents.{name}",
                )
        if self.most_at_once < 1 or self.max_body_bytes < 1:
            raise BadSettings(
                "agents.most_at_once and agents.max_body_bytes must be 1 or more.", key="agents.most_at_once"
            )
        for name in ("replays", "shadows_at_once"):
            if getattr(self, name) < 0:
                raise BadSettings(
                    f"agents.{name} is {getattr(self, name)!r}, but it must be 0 or more.", key=f"agents.{name}"
                )
        if not 0.0 <= self.approval_days < float("inf"):
            raise BadSettings(
                f"agents.approval_days is {self.approval_days!r}, but it must be 0 or more.", key="agents.approval_days"
            )
        if not 0.0 < self.keep_days < float("inf"):
            raise BadSettings(
                f"agents.keep_days is {self.keep_days!r}, but it must be above 0.", key="agents.keep_days"
            )


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The console: the whole system in a browser."""

    on: bool = True
    """`perdure up` serves it beside the loop and the data plane."""
    host: str = "127.0.0.1"
    """Address to bind; one that others can reach needs an administrator with a password, and TLS before it."""
    port: int = 8500
    """Its own port: other cookies, another policy of contents, no path that clashes with the data plane's."""
    hosts: str = ""
    """Further names that browsers may ask for it by, separated by commas; any other name is refused."""
    behind_tls: bool = False
    """A proxy before it speaks TLS: cookies are sent over TLS only."""
    clock: str = "round"
    """What the console takes for now: `round`, the newest round of the loop, also where that was long ago; or `machine`."""
    idle_h: float = 12.0
    """Hours without a request after which a session ends."""
    longest_h: float = 168.0
    """Hours after which a session ends, whatever happens."""

    def __post_init__(self) -> None:
        if self.clock not in _CONSOLE_CLOCKS:
            raise BadSettings(f"console.clock is {self.clock!r}, but it must be round or machine.", key="console.clock")
        for name in ("idle_h", "longest_h"):
            if not 0.0 < getattr(self, name) <= _MOST_SESSION_H:
                raise BadSettings(
                    f"console.{name} is {getattr(self, name)!r}, but it must be above 0, and {_MOST_SESSION_H:g} at most.",
                    key=f"console.{name}",
                )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, a section a part of the system."""

    project: ProjectSettings = field(default_factory=ProjectSettings)
    stores: StoreSettings = field(default_factory=StoreSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    evals: EvalSettings = field(default_factory=EvalSettings)
    agents: AgentSettings = field(default_factory=AgentSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role → the people that have it. None declared: the project's actor has every role."""


def replace_given(settings: ServeSettings, **given: Any) -> ServeSettings:
    """The same, but for what is given: None leaves a key as it is.

    >>> replace_given(ServeSettings(port=9000), port=None, workers=2)
    ServeSettings(host='127.0.0.1', port=9000, ..., workers=2)
    """
    return replace(settings, **{key: value for key, value in given.items() if value is not None})


def _sections() -> dict[str, type]:
    """Name → class of each section whose keys are known here."""
    return {name: section for name, section in get_type_hints(Settings).items() if name != ROLES}


def _known_keys() -> dict[str, type]:
    keys: dict[str, type] = {}
    for name, section in _sections().items():
        for key, kind in get_type_hints(section).items():
            keys[f"{name}.{key}"] = kind
    return keys


_KEYS = _known_keys()
_ROLE_VARIABLE = f"PERDURE_{ROLES.upper()}_"


def setting_keys() -> list[str]:
    """Every key, as `section.key`, in the order of declaration."""
    return list(_KEYS)


def _typed(key: str, value: Any, origin: str) -> Any:
    kind = _KEYS[key]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise BadSettings(f"{key} in {origin} is {value!r}, but it must be of type {kind.__name__}.", key=key)
    return value


def _check_key(key: str, origin: str) -> None:
    if key not in _KEYS:
        near = nearest(key, _KEYS)
        hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(_KEYS)}."
        raise BadSettings(f"{origin} has the unknown key {key!r}.", hint=hint, key=key, nearest=near)


def _from_toml(text: str, origin: str) -> dict[str, Any]:
    try:
        sections = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{origin} is not valid TOML: {error}.") from error
    found: dict[str, Any] = {}
    for name, section in sections.items():
        if not isinstance(section, dict):
            _check_key(name, origin)
            raise BadSettings(f"{origin} sets {name!r} outside a section.")
        if name == ROLES:
            found |= {f"{ROLES}.{role}": _people(role, people, origin) for role, people in section.items()}
            continue
        for key, value in section.items():
            _check_key(f"{name}.{key}", origin)
            found[f"{name}.{key}"] = _typed(f"{name}.{key}", value, origin)
    return found


def _people(role: str, people: Any, origin: str) -> tuple[str, ...]:
    if not _ROLE.fullmatch(role):
        raise BadSettings(f"{origin} has the role {role!r}, which is no legal name.", hint="Use a-z, 0-9 and _.")
    if not isinstance(people, list) or not all(isinstance(each, str) and each.strip() for each in people):
        raise BadSettings(
            f"The role {role!r} in {origin} is {people!r}, but it must be a list of names.",
            hint=f'Write: {role} = ["ann", "bob"]',
            key=f"{ROLES}.{role}",
        )
    return tuple(dict.fromkeys(each.strip() for each in people))


def _parse_env(key: str, text: str, origin: str) -> Any:
    kind = _KEYS[key]
    if kind is bool:
        truth = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower())
        if truth is None:
            raise BadSettings(f"{origin} is {text!r}, but it must be true or false.", key=key)
        return truth
    try:
        return kind(text)
    except ValueError as error:
        raise BadSettings(f"{origin} is {text!r}, but it must be of type {kind.__name__}.", key=key) from error


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    spelled = {"PERDURE_" + key.replace(".", "_").upper(): key for key in _KEYS}
    found: dict[str, Any] = {}
    for name, text in env.items():
        if not name.startswith("PERDURE_") or name == ACTOR:
            continue
        if name.startswith(_ROLE_VARIABLE):
            role = name.removeprefix(_ROLE_VARIABLE).lower()
            people = [each.strip() for each in text.split(",")]
            found[f"{ROLES}.{role}"] = _people(role, [each for each in people if each], name)
            continue
        if name not in spelled:
            near = nearest(name, spelled)
            hint = f"Did you mean {near}?" if near else ""
            raise BadSettings(f"The environment has the unknown variable {name}.", hint=hint, key=name, nearest=near)
        found[spelled[name]] = _parse_env(spelled[name], text, name)
    return found


def load_settings(toml: str, env: Mapping[str, str], *, origin: str = "perdure.toml") -> Settings:
    r"""Settings from the text of a file and an environment; the environment wins.

    >>> load_settings("[serve]\nport = 9000", {"PERDURE_SERVE_POLL_MS": "50"}).serve.poll_ms
    50

    Raises:
        BadSettings: unknown key or a value of the wrong type; the message names the nearest key.
    """
    values = {**_from_toml(toml, origin), **_from_env(env)}
    sections = {name: kind(**_of_section(values, name)) for name, kind in _sections().items()}
    return Settings(**sections, roles=_of_section(values, ROLES))


def _of_section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
