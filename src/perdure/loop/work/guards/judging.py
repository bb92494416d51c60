"""What any version of a guard says of any texts. Signals, remedies and gates ask it.

A loaded version is kept while its blobs are open, and so is what it said: a standing suite is asked about in every round.
Beside the learned check those are asked that judge a text alone and quickly; functions of the user, detectors of other packages and checks
of whole answers are not: they are the same in every version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.assets.version import Version
from perdure.core.errors import NotFound, PerdureError
from perdure.core.ids import Digest
from perdure.engines.guards.compiling import compile_guard
from perdure.engines.guards.learned import LearnedScorer, load_learned
from perdure.engines.guards.learned_duplicates import Seen
from perdure.loop.protocols import Workplace
from perdure.loop.work.guards.cases import Case
from perdure.stores.blobs.protocols import Blobs

LEARNED = "learned"
"""Role of the artifact."""
_OF_TEXTS = ("pii", "secrets", "injection_rules", "topics", "names", "toxicity")
_MAX_LOADED = 16
_MAX_SAID = 200_000


class TrainedOn(msgspec.Struct, frozen=True):
    """What a version was trained on: kept as a blob, and named in its lineage. No text is in it."""

    seen: bytes
    """As `Seen.to_bytes`."""
    families: list[str]
    n_harmful: int
    n_harmless: int


class Judge:
    """One version, with what its learned check was trained on. It remembers what it said.

    Args:
        scorer: the learned check.
        trained_on: what that was trained on.
        finds: whether one of the version's other checks finds something in a text.
    """

    def __init__(self, scorer: LearnedScorer, trained_on: TrainedOn, finds: Callable[[str], bool]) -> None:
        self.scorer = scorer
        self.trained_on = trained_on
        self.seen = Seen.from_bytes(trained_on.seen)
        self._finds = finds
        self._said: dict[str, bool] = {}

    def catches(self, text: str) -> bool:
        """Whether it catches a text."""
        if text not in self._said:
            if len(self._said) >= _MAX_SAID:
                self._said.clear()
            self._said[text] = self.scorer.score(text) >= self.scorer.threshold or self._finds(text)
        return self._said[text]

    def caught(self, cases: Sequence[Case]) -> NDArray[np.bool_]:
        """Whether it catches each text."""
        return np.array([self.catches(case.text) for case in cases], dtype=np.bool_)

    def knew(self, case: Case) -> bool:
        """Whether it was trained on the text, or on one that is nearly the same."""
        return case.keys is not None and self.seen.holds(case.keys)


_LOADED: WeakKeyDictionary[Blobs, OrderedDict[str, Judge]] = WeakKeyDictionary()


def load_judge(place: Workplace, version: Version) -> Judge:
    """The judge of a version, from memory where it was loaded before. Cost: loading once 3 ms.

    Raises:
        NotFound, Corrupt: a blob of it is gone, or is not what it was.
        BadGuard: it has learned nothing, or its artifact cannot be read.
    """
    loaded = _LOADED.setdefault(place.stores.blobs, OrderedDict())
    if version.id not in loaded:
        loaded[version.id] = load_anew(place, version)
        while len(loaded) > _MAX_LOADED:
            loaded.popitem(last=False)
    loaded.move_to_end(version.id)
    return loaded[version.id]


def load_anew(place: Workplace, version: Version) -> Judge:
    """The judge of a version, from its blobs, each of which is read and verified. Raises: as `load_judge`."""
    settings = learned_settings(version)
    if LEARNED not in version.artifacts or settings is None:
        raise NotFound(f"{version.id} has no learned check.", hint="Train the guard: perdure train NAME.")
    artifact = place.stores.blobs.get(Digest(version.artifacts[LEARNED]))
    return Judge(load_learned(settings, artifact), trained_on(place, version), _others(version))


def _others(version: Version) -> Callable[[str], bool]:
    checks = [check for check in version.definition["checks"] if check["check"] in _OF_TEXTS]
    compiled = compile_guard(version.asset, version.id, {**version.definition, "checks": checks}, {})
    return lambda text: compiled.judge([{"role": "user", "content": text}], {}).found


def trained_on(place: Workplace, version: Version) -> TrainedOn:
    """What a version was trained on.

    Raises:
        NotFound, Corrupt: the record is gone, or is not what it was.
    """
    data = place.stores.blobs.get(Digest(str(version.lineage["dataset"])))
    return msgspec.msgpack.decode(data, type=TrainedOn)


def learned_settings(version: Version) -> dict[str, Any] | None:
    """Definition of a version's learned check; None where it has none."""
    return next((dict(check) for check in version.definition["checks"] if check["check"] == LEARNED), None)


def is_whole(place: Workplace, version: Version) -> bool:
    """Whether a version learned something and every blob that it needs is there."""
    needed = [version.artifacts.get(LEARNED), version.lineage.get("dataset")]
    return all(digest is not None and place.stores.blobs.has(Digest(str(digest))) for digest in needed)


def why_not_loadable(place: Workplace, version: Version) -> str:
    """Why a version cannot answer, read from its blobs anew; empty when it can."""
    try:
        score = load_anew(place, version).scorer.score("Is this text harmless?")
    except PerdureError as error:
        return str(error)
    return "" if 0.0 <= score <= 1.0 else f"it gives the score {score}"
