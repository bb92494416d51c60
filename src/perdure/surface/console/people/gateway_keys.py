"""Keys of the gateway's callers: who may call models, issued and taken away by the SDK's own verbs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address, one_of, text, whole
from perdure.surface.console.records import Asked, Done, View
from perdure.surface.keying import KeyTerms

if TYPE_CHECKING:
    from perdure.surface.records import KeyRow

_MOST = 100
_STATES = ("good", "expired", "revoked")
_MOST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """One key; no secret is kept."""

    id: str
    team: str
    label: str
    state: str
    admin: bool
    limits: str
    created_at: datetime
    expires_at: datetime | None
    actor: str
    revoke: str
    """Address that takes it away; empty where that is done."""


@dataclass(frozen=True, slots=True)
class GatewayKeys:
    """What the page of keys shows."""

    keys: tuple[GatewayKey, ...]
    n_good: int
    teams: tuple[str, ...]
    """Declared ones: who a key can be for."""
    state: str
    team: str
    more: str


def keys_page(asked: Asked) -> View:
    """Keys, the newest first."""
    state, team = one_of(asked.query, "state", _STATES), text(asked.query, "team")
    first = whole(asked.query, "from", 0, most=1_000_000)
    every = asked.project.list_keys(at=asked.now)
    found = [each for each in reversed(every) if state in ("", each.state) and team in ("", each.team)]
    more = address("/keys", state=state, team=team, **{"from": first + _MOST})
    data = GatewayKeys(
        tuple(_shown(each) for each in found[first : first + _MOST]),
        sum(each.state == "good" for each in every),
        tuple(sorted(asked.project.project.teams)),
        state,
        team,
        more if len(found) > first + _MOST else "",
    )
    return View("Keys of the gateway", data, (("People", "/people"),), "perdure key list", ("people",))


def issue_key(asked: Asked) -> Done:
    """Issue a key for a team; its secret is in the notice, this once."""
    days = whole(asked.form, "days", 0, most=_MOST_DAYS)
    terms = KeyTerms(
        label=text(asked.form, "label", most=100),
        expires=timedelta(days=days) if days else None,
        admin=bool(asked.form.get("admin")),
    )
    issued = asked.project.create_key(text(asked.form, "team"), terms, at=asked.now)
    said = f"The key of {issued.key.team} is shown this once, copy it now: {issued.secret}"
    return Done(said, "/keys", issued)


def revoke_key(asked: Asked) -> Done:
    """Take a key away for good."""
    key = asked.project.revoke_key(asked.path["key"], reason=text(asked.form, "reason"), at=asked.now)
    return Done(f"The key {key.id} of {key.team} is revoked: servers refuse it with their next look.", "/keys", key)


def _shown(key: KeyRow) -> GatewayKey:
    limits = [f"{name} {value:,}" for name, value in key.limits.items() if isinstance(value, int)]
    limits += ["budgets"] if "budgets" in key.limits else []
    revoke = "" if key.state == "revoked" else address("/keys", key.id, "revoke")
    return GatewayKey(
        key.id, key.team, key.label, key.state, key.admin, ", ".join(limits),
        key.created_at, key.expires_at, key.actor, revoke,
    )  # fmt: skip
