"""What an administrator does about people: let in, give roles, invite, end sessions, close; keys of programs. And one's own sessions."""

from __future__ import annotations

from datetime import timedelta

from perdure.core.errors import Refused
from perdure.surface.console.asking import address, text, whole
from perdure.surface.console.people.standing import chosen, origin, stores
from perdure.surface.console.records import Asked, Done

_MOST_DAYS = 3650


def add_person(asked: Asked) -> Done:
    """Let somebody in; a person is invited in the same breath, a program has its key made next."""
    form, name = asked.form, text(asked.form, "name", most=64)
    person = asked.project.add_person(
        name,
        roles=chosen(form, "role"),
        duties=chosen(form, "duty"),
        shown=text(form, "shown", most=100),
        service=bool(form.get("service")),
        at=asked.now,
    )
    to = address("/people", person.name)
    if person.service:
        return Done(f"{person.name} is in. Make a key for it next.", to, {"person": person})
    invited = asked.project.invite_person(person.name, at=asked.now)
    return Done(_invite_words(asked, person.name, invited.path), to, {"person": person, "invite": invited})


def change_roles(asked: Asked) -> Done:
    """Give the ticked roles and duties in the place of all the former.

    Raises:
        Refused: oneself another role: who lets people in would else decide alone.
    """
    name, roles = asked.path["name"], chosen(asked.form, "role")
    if name == asked.person.name and set(roles) - set(asked.project.person(name).roles):
        raise Refused(
            "Nobody gives themselves a role.",
            hint="Ask another administrator; whoever has the project's folder gives it by perdure people role.",
        )
    person = asked.project.change_person(
        name,
        roles=roles,
        duties=chosen(asked.form, "duty"),
        reason=text(asked.form, "reason"),
        at=asked.now,
    )
    said = f"{person.name} is now {', '.join(person.roles)}; it holds from the next click on."
    return Done(said, address("/people", person.name), person)


def invite_person(asked: Asked) -> Done:
    """An address where the person chooses a password, shown this once."""
    invited = asked.project.invite_person(asked.path["name"], at=asked.now)
    return Done(_invite_words(asked, invited.person, invited.path), address("/people", invited.person), invited)


def end_sessions(asked: Asked) -> Done:
    """End every session of a person."""
    name = asked.path["name"]
    n_ended = asked.project.end_sessions(name, reason=text(asked.form, "reason"), at=asked.now)
    return Done(f"{_ended(n_ended, 'session')}: {name} signs in again.", address("/people", name), {"ended": n_ended})


def close_person(asked: Asked) -> Done:
    """Let somebody in no more, for good.

    Raises:
        Refused: oneself: another administrator does that.
    """
    name = asked.path["name"]
    if name == asked.person.name:
        raise Refused("Nobody closes themselves.", hint="Ask another administrator.")
    person = asked.project.close_person(name, reason=text(asked.form, "reason"), at=asked.now)
    said = f"{person.name} is closed: sessions have ended, keys are void, and the history stays."
    return Done(said, address("/people", person.name), person)


def issue_program_key(asked: Asked) -> Done:
    """Make a key for a program; its secret is in the notice, this once."""
    days = whole(asked.form, "days", 0, most=_MOST_DAYS)
    issued = asked.project.create_service_key(
        asked.path["name"],
        label=text(asked.form, "label", most=100),
        expires=timedelta(days=days) if days else None,
        at=asked.now,
    )
    said = f"The key of {issued.key.person} is shown this once, copy it now: {issued.secret}"
    return Done(said, address("/people", issued.key.person), issued)


def revoke_program_key(asked: Asked) -> Done:
    """Take a program's key away."""
    key = asked.project.revoke_service_key(asked.path["key"], reason=text(asked.form, "reason"), at=asked.now)
    return Done(f"The key {key.id} of {key.person} is void.", address("/people", key.person), key)


def end_others(asked: Asked) -> Done:
    """End one's own other sessions."""
    sessions, name = stores(asked).sessions, asked.person.name
    others = [each.digest for each in sessions.list(name) if each.digest != asked.session]
    n_ended = sum(sessions.end(digest=digest) for digest in others)
    if n_ended:
        ledger = asked.project.place.stores.ledger
        with ledger.transaction(actor=name, at=asked.now, reason="ended their other sessions") as session:
            session.audit.append("session.ended", f"person:{name}", {"person": name, "n": n_ended})
    return Done(f"{_ended(n_ended, 'other session')}.", "/me", {"ended": n_ended})


def _invite_words(asked: Asked, name: str, path: str) -> str:
    where = f"{origin(stores(asked).settings)}{path}"
    return f"Send this to {name}, it is good once, for 15 minutes, and shown this once: {where}"


def _ended(n: int, what: str) -> str:
    return f"{n} {what} has ended" if n == 1 else f"{n} {what}s have ended"
