"""Stored profiles come back whole, or are told to be corrupt."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
import pytest

from perdure.core.errors import Corrupt
from perdure.engines.profile import Profile, build_profile, from_bytes, to_bytes


@pytest.fixture
def profile() -> Profile:
    rng = np.random.default_rng(0)
    wind = [None if rng.uniform() < 0.1 else float(rng.normal()) for _ in range(500)]
    return build_profile(pl.DataFrame({"wind": wind, "origin": rng.choice(["JFK", "LGA"], 500)}))


def test_a_profile_survives_its_bytes(profile: Profile) -> None:
    restored = from_bytes(to_bytes(profile))

    assert restored.n_rows == 500
    assert to_bytes(restored) == to_bytes(profile)
    assert restored.columns["wind"].comparable(profile.columns["wind"])
    assert restored.columns["origin"].comparable(profile.columns["origin"])
    assert np.array_equal(restored.columns["wind"].counts, profile.columns["wind"].counts)


def test_codes_and_empty_columns_survive_too() -> None:
    rows = np.array([[0, np.nan], [1, np.nan]], dtype=np.float32)
    profile = build_profile(rows, ["origin", "none"], categories={"origin": ["JFK", "LGA"]})

    restored = from_bytes(to_bytes(profile))

    assert restored.columns["origin"].codes == ("JFK", "LGA")
    assert build_profile(rows, ["origin", "none"], reference=restored).columns["origin"].counts.tolist() == [1, 1, 0]
    assert restored.columns["none"].n == 0


def test_counts_that_were_read_can_be_added(profile: Profile) -> None:
    doubled = from_bytes(to_bytes(profile)) + profile

    assert doubled.n_rows == 1000


@pytest.mark.parametrize("data", [b"", b"no profile", msgspec.msgpack.encode({"format": "perdure.profile"})])
def test_other_bytes_are_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="no profile"):
        from_bytes(data)


def test_a_torn_profile_is_corrupt(profile: Profile) -> None:
    with pytest.raises(Corrupt):
        from_bytes(to_bytes(profile)[:-5])


def test_counts_that_do_not_fit_their_grid_are_corrupt(profile: Profile) -> None:
    stored = msgspec.msgpack.decode(to_bytes(profile))
    stored["columns"]["wind"]["counts"] = stored["columns"]["wind"]["counts"][:-8]

    with pytest.raises(Corrupt, match="'wind'"):
        from_bytes(msgspec.msgpack.encode(stored))


def test_a_version_of_the_future_is_told(profile: Profile) -> None:
    stored = msgspec.msgpack.decode(to_bytes(profile))
    stored["version"] = 2

    with pytest.raises(Corrupt, match="version 2; this release reads"):
        from_bytes(msgspec.msgpack.encode(stored))
