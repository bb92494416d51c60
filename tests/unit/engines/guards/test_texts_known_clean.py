"""A text in which nothing was found is not looked through twice, and nothing is missed for it."""

from __future__ import annotations

import re

from perdure.assets.guard import Guard, Pii, Secrets
from perdure.engines.guards.checks import Clean, PointingCheck, clean_of
from perdure.engines.guards.compiling import compile_guard
from perdure.engines.guards.stretches import Pattern

LOUD = Pattern("loud", re.compile("[A-Z]{3}"), 3)


def _asked_of() -> tuple[PointingCheck, list[str]]:
    asked: list[str] = []

    def may_hold(text: str) -> bool:
        asked.append(text)
        return True

    return PointingCheck("loud", (LOUD,), may_hold, clean=Clean()), asked


def test_a_clean_text_is_searched_once_whoever_asks() -> None:
    """The guard that judged and the redactor that masks ask for the same."""
    check, asked = _asked_of()
    assert check.first("quiet") is None
    assert check.hits("quiet") == []
    assert check.first("quiet") is None
    assert asked == ["quiet"]


def test_a_text_with_a_hit_is_found_each_time() -> None:
    """Only clean texts are remembered."""
    check, _ = _asked_of()
    for _ in range(3):
        assert check.first("now LOUD") is not None
        assert [hit.kind for hit in check.hits("now LOUD")] == ["loud"]


def test_a_hit_below_the_threshold_is_not_taken_for_clean() -> None:
    """Another check of the same finders may count it."""
    clean = Clean()
    assert PointingCheck("loud", (LOUD,), threshold=2.0, clean=clean).first("now LOUD") is None
    assert PointingCheck("loud", (LOUD,), clean=clean).first("now LOUD") is not None


def test_what_comes_again_stays_and_what_does_not_goes() -> None:
    """Memory is bounded, and a system prompt outlives a million characters of others."""
    clean = Clean()
    clean.add("system prompt")
    clean.add("said once")
    for number in range(2_000):
        clean.add(f"{number:0500d}")
        assert "system prompt" in clean
    assert "said once" not in clean
    assert len(clean._new) + len(clean._old) < 2_000


def test_checks_that_look_for_the_same_share_what_they_know_and_others_do_not() -> None:
    """An email is clean for a guard of secrets, and not for one of personal data."""
    secrets = compile_guard("secrets", "v1", Guard("secrets", [Secrets()]).definition(), {})
    personal = compile_guard("personal", "v1", Guard("personal", [Pii("email")]).definition(), {})
    messages = [{"role": "user", "content": "I am ann@example.org"}]
    assert not secrets.judge(messages, {}).found
    assert personal.judge(messages, {}).kind == "email"
    assert clean_of((LOUD,)) is clean_of((LOUD,))
    assert clean_of((LOUD,)) is not clean_of((LOUD, LOUD))
