"""Shares are sticky and exact: a key moves only because of the arm whose share changed."""

from __future__ import annotations

from math import sqrt

from hypothesis import assume, given
from hypothesis import strategies as st

from perdure.assets.version import Pointer
from perdure.serve.routing import Route, build_routes, share_point

KEYS = st.lists(st.text(max_size=20), min_size=1, max_size=30)
SHARES = st.floats(0.0, 1.0)
MANY = [f"key-{number}" for number in range(2_000)]
ARMS = ("a", "b", "c", "d")


def route(**shares: float) -> Route:
    arms = [Pointer("m", name, f"m@{name}", share) for name, share in shares.items()]
    return build_routes([Pointer("m", "champion", "m@champion"), *arms], ["m"])["m"]


@st.composite
def splits(draw: st.DrawFn) -> dict[str, float]:
    """Shares of one to four arms that leave something to the champion."""
    weights = draw(st.lists(st.integers(1, 100), min_size=2, max_size=1 + len(ARMS)))
    return {name: weight / sum(weights) for name, weight in zip(ARMS, weights[1:], strict=False)}


@given(KEYS, SHARES, SHARES)
def test_a_growing_share_only_adds_keys(keys, one, other):
    low, high = sorted((one, other))
    before, after = route(challenger=low), route(challenger=high)
    for key in keys:
        if before.choose(key).name == "challenger":
            assert after.choose(key).name == "challenger"


@given(KEYS, splits(), st.sampled_from(ARMS), st.floats(0.0, 1.0))
def test_when_one_arm_grows_no_other_arm_loses_a_key_but_to_it(keys, shares, grown, part):
    """It holds for any number of arms; read backwards: one that shrinks gives back what it took."""
    assume(grown in shares)
    free = 1.0 - sum(shares.values())
    before, after = route(**shares), route(**{**shares, grown: shares[grown] + part * free})
    for key in keys:
        was, now = before.choose(key).name, after.choose(key).name
        if was != "champion":
            assert now in (was, grown)


def test_a_grown_arm_takes_keys_from_the_others_who_get_as_many_from_the_champion():
    before, after = route(a=0.1, b=0.3, c=0.2), route(a=0.4, b=0.3, c=0.2)
    moves = {(before.choose(key).name, after.choose(key).name) for key in MANY}
    assert moves - {(name, name) for name in ("champion", *ARMS)} == {
        ("champion", "a"),
        ("b", "a"),
        ("c", "a"),
        ("champion", "b"),
        ("champion", "c"),
    }


@given(splits())
def test_every_arm_gets_its_share_of_the_keys(shares):
    """Within 6 standard deviations of a binomial count, for each arm and the champion."""
    chosen = [route(**shares).choose(key).name for key in MANY]
    for name, share in {**shares, "champion": 1.0 - sum(shares.values())}.items():
        assert abs(chosen.count(name) / len(MANY) - share) <= 6.0 * sqrt(share * (1.0 - share) / len(MANY)) + 1e-9


@given(st.text(), st.text(), st.text())
def test_every_key_has_a_point_in_the_unit_interval(asset, arm, key):
    assert 0.0 <= share_point(asset, arm, key) < 1.0
    assert share_point(asset, arm, key) == share_point(asset, arm, key)


@given(KEYS, SHARES)
def test_the_whole_share_takes_every_key_and_none_takes_none(keys, beside):
    assert {route(a=1.0, b=beside).choose(key).name for key in keys} == {"a"}
    assert {route(a=0.0).choose(key).name for key in keys} == {"champion"}
