"""What compose says can be measured is what a declaration can ask for."""

from __future__ import annotations

import perdure
from perdure.surface.compose import SIGNALS


def test_each_signal_of_an_asset_has_a_name_to_declare_it_by():
    missing = {name for names in SIGNALS.values() for name in names if not hasattr(perdure, name)}
    assert missing == set()
