"""Shares are sticky: a ramp moves a key at most once, and only to the arm that grew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perdure.assets.version import Pointer
from perdure.serve.routing import Route, build_routes, share_point

KEYS = st.lists(st.text(max_size=20), min_size=1, max_size=30)
SHARES = st.floats(0.0, 1.0)


def route(**shares: float) -> Route:
    arms = [Pointer("m", name, f"m@{name}", share) for name, share in shares.items()]
    return build_routes([Pointer("m", "champion", "m@champion"), *arms], ["m"])["m"]


@given(KEYS, SHARES, SHARES)
def test_a_growing_share_only_adds_keys(keys, one, other):
    low, high = sorted((one, other))
    before, after = route(challenger=low), route(challenger=high)
    for key in keys:
        if before.choose(key).name == "challenger":
            assert after.choose(key).name == "challenger"


@given(KEYS, SHARES, SHARES, SHARES)
def test_with_several_arms_the_one_that_grows_loses_no_key(keys, one, other, beside):
    low, high = sorted((one, other))
    before, after = route(a=low, b=beside), route(a=high, b=beside)
    for key in keys:
        if before.choose(key).name == "a":
            assert after.choose(key).name == "a"


@given(st.text(), st.text())
def test_every_key_has_a_point_in_the_unit_interval(asset, key):
    assert 0.0 <= share_point(asset, key) < 1.0
    assert share_point(asset, key) == share_point(asset, key)


@given(KEYS, SHARES)
def test_the_whole_share_takes_every_key_and_none_takes_none(keys, beside):
    assert {route(a=1.0, b=beside).choose(key).name for key in keys} == {"a"}
    assert {route(a=0.0).choose(key).name for key in keys} == {"champion"}
