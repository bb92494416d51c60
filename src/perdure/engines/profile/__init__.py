"""Windows of rows boiled down to profiles: small, mergeable, comparable. Nothing here knows of drift.

`build` counts rows, `categories` counts labels, `codec` stores profiles as bytes; the records
themselves live in `core.stats.columns`, where `engines.drift` finds them too.
"""

from __future__ import annotations

from perdure.core.stats.columns import CategoryColumn, NumericColumn, Profile, merge
from perdure.engines.profile.build import build_profile
from perdure.engines.profile.codec import from_bytes, to_bytes

__all__ = ["CategoryColumn", "NumericColumn", "Profile", "build_profile", "from_bytes", "merge", "to_bytes"]
