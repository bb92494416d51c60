"""What an answer claims stands in the texts that were retrieved. Words and numbers, no model: a coarse sieve that is cheap.

What a claim is, and when it is supported, is said in `core.texts.claims`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from perdure.core.texts.claims import SENTENCES, facts_of, is_claim, supports
from perdure.engines.guards.checks import Finding, Json
from perdure.engines.guards.conversation import said


class GroundedCheck:
    """Judges whether enough of an answer's claims stand in the conversation's sources.

    Args:
        least: share of the claims that must be supported.
        tagged: sources stand between `<tagged>` and `</tagged>`, or are results of tools.
    """

    name = "grounded"

    def __init__(self, least: float = 0.7, tagged: str = "context") -> None:
        self._least = least
        tag = re.escape(tagged)
        self._tagged = re.compile(rf"<{tag}(?:\s[^<>]{{0,200}})?>(.*?)</{tag}>", re.DOTALL | re.IGNORECASE)

    def judge(self, answers: Sequence[Json], messages: Sequence[Json]) -> Finding | None:
        """A finding where too few claims are supported; none where nothing was retrieved or nothing is claimed."""
        sources = self.sources(messages)
        if not sources:
            return None
        known = facts_of("\n".join(sources))
        for answer in answers:
            text = answer.get("content")
            claims = [facts_of(each) for each in SENTENCES.split(text) if each.strip()] if isinstance(text, str) else []
            claims = [each for each in claims if is_claim(each)]
            supported = sum(supports(known, each) for each in claims)
            if claims and supported < self._least * len(claims):
                score = 1.0 - supported / len(claims)
                return Finding("unsupported", score, {"claims": len(claims), "supported": supported})
        return None

    def sources(self, messages: Sequence[Json]) -> list[str]:
        """The texts that were retrieved, as far as the conversation shows them."""
        found = []
        for each in said(messages):
            if each.role in ("tool", "function"):
                found.append(each.text)
            elif each.role != "assistant":
                found += self._tagged.findall(each.text)
        return found
