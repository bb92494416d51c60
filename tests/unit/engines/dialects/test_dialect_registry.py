"""Dialects by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perdure.core.errors import NotFound
from perdure.engines.dialects.registry import INBOUND, OUTBOUND, inbound, outbound


@pytest.mark.parametrize("name", INBOUND)
def test_each_dialect_of_clients_is_found_once(name):
    assert inbound(name).name == name
    assert inbound(name) is inbound(name)


@pytest.mark.parametrize("name", OUTBOUND)
def test_each_dialect_of_upstreams_is_found_once(name):
    assert outbound(name).name == name
    assert outbound(name) is outbound(name)


def test_a_name_that_is_none_says_the_nearest():
    with pytest.raises(NotFound, match="anthropic"):
        outbound("antropic")


def test_no_sdk_and_no_unused_dialect_is_imported():
    code = (
        "import sys; from perdure.engines.dialects.registry import outbound; outbound('openai');"
        "print([name for name in ('openai', 'anthropic', 'httpx', 'pydantic', 'perdure.engines.dialects.gemini')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
