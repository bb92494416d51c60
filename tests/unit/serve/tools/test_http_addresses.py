"""What a value may make of a declared address."""

from __future__ import annotations

import pytest

from perdure.serve.tools.http_asking import Address

TRACK = Address.of("https://api.example.com/v1/parcels/{parcel}/notes?lang={lang}", "track")


@pytest.mark.parametrize(
    "value",
    [
        "", ".", "..", "../../admin", "a/../../admin", "..\\..\\admin", "..;/admin", "%2e%2e", "%2e%2e%2fadmin", "%252e%252e%252fadmin",
        "\uff0e\uff0e\uff0fadmin", "\u2024\u2024/admin", " ../admin", "7/./notes",
    ],
)  # fmt: skip
def test_no_value_makes_steps_in_a_path(value):
    """Many servers decode `..%2F` before they look where a path leads, so that what would step is not sent at all."""
    with pytest.raises(ValueError, match="another path"):
        TRACK.path({"parcel": value, "lang": "en"}, {})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a/b", "a%2Fb"),
        ("1..2", "1..2"),
        ("//evil.example/x", "%2F%2Fevil.example%2Fx"),
        ("@evil.example", "%40evil.example"),
        ("7?admin=1#x", "7%3Fadmin%3D1%23x"),
        ("7\r\nHost: evil.example", "7%0D%0AHost%3A%20evil.example"),
        ("\u0430pple", "%D0%B0pple"),
        ("{lang}", "%7Blang%7D"),
    ],
)
def test_other_values_stay_in_their_place(value, told):
    """Slashes, hosts, queries, line breaks and foreign letters are escaped; a place in a value is not filled."""
    assert TRACK.path({"parcel": value, "lang": "en"}, {}) == f"/v1/parcels/{told}/notes?lang=en"


def test_a_query_may_hold_steps():
    """Behind a `=` dots and slashes lead nowhere."""
    assert TRACK.path({"parcel": "7", "lang": "../en"}, {"q": "a&b=.."}).endswith("?lang=..%2Fen&q=a%26b%3D..")
