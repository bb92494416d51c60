"""Who may come in and what they may do: people, roles, invites, keys, sessions."""

from __future__ import annotations

from perdure.surface.console.people.changing import (
    add_person,
    change_roles,
    close_person,
    end_others,
    end_sessions,
    invite_person,
    issue_program_key,
    revoke_program_key,
)
from perdure.surface.console.people.gateway_keys import issue_key, keys_page, revoke_key
from perdure.surface.console.people.mine import mine_page
from perdure.surface.console.people.person import person_page
from perdure.surface.console.people.roster import people_page
from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = (
    Page("people", "/people", "people/people.html", people_page, "people", "people"),
    Page("person", "/people/{name}", "people/person.html", person_page, "people", "people"),
    Page("keys", "/keys", "people/keys.html", keys_page, "keys", "people"),
    Page("me", "/me", "people/me.html", mine_page, "look", ""),
)
DEEDS: tuple[Deed, ...] = (
    Deed("people.add", "/people", add_person, "people", asks_reason=False),
    Deed("people.roles", "/people/{name}/roles", change_roles, "people"),
    Deed("people.invite", "/people/{name}/invite", invite_person, "people", asks_reason=False),
    Deed("people.sessions", "/people/{name}/sessions", end_sessions, "people"),
    Deed("people.close", "/people/{name}/close", close_person, "people"),
    Deed("people.key", "/people/{name}/keys", issue_program_key, "people", asks_reason=False),
    Deed("people.key_revoke", "/people/{name}/keys/{key}/revoke", revoke_program_key, "people"),
    Deed("keys.issue", "/keys", issue_key, "keys", asks_reason=False),
    Deed("keys.revoke", "/keys/{key}/revoke", revoke_key, "keys"),
    Deed("me.sessions", "/me/sessions", end_others, "look", asks_reason=False),
)
