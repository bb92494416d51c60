"""Anchor sets: cases with answers that people labelled, one JSON object a line.

    {"inputs": {"question": "…"}, "answer": "…", "label": "good", "labeller": "ana"}
    {"inputs": {"question": "…"}, "answers": ["…", "…"], "label": "first", "labeller": "bo", "cluster": "doc-7"}

Lines of the same inputs and answers are one case that several people labelled. Called by whoever calibrates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from perdure.core.canonical import content_hash, plain
from perdure.core.errors import BadJudge
from perdure.engines.judges.scales import side_of, value_of, words_of

_KEYS = {"inputs", "answer", "answers", "expected", "label", "labeller", "cluster"}
_SPACES = re.compile(r"(?:\\[nrt]|\s)+")
_IMPROVE = 3
"""Of so many clusters, by hash, one is what automatic improvement may learn from; gates judge by the others."""


@dataclass(frozen=True, slots=True)
class Judgeable:
    """What a judge is shown."""

    id: str
    """Digest of all that follows but the cluster."""
    inputs: Mapping[str, Any]
    answers: tuple[str, ...]
    """One, or two for pairs."""
    expected: Any = None
    cluster: str = ""
    """Cases that belong together; empty: one of its own."""

    @property
    def alike(self) -> str:
        """Digest of inputs and answers without what spaces and capitals make of them."""
        told = msgspec.json.encode(
            plain({"inputs": self.inputs, "answers": list(self.answers)}), order="sorted"
        ).decode()
        return content_hash(_SPACES.sub("", told.casefold()))[:24]

    @classmethod
    def of(
        cls, inputs: Mapping[str, Any], answers: Sequence[str], expected: Any = None, cluster: str = ""
    ) -> Judgeable:
        """A case with its id."""
        told = {"inputs": inputs, "answers": list(answers), "expected": expected}
        return cls(content_hash(told)[:24], dict(inputs), tuple(answers), expected, cluster)


@dataclass(frozen=True, slots=True)
class Said:
    """What one person says of a case."""

    labeller: str
    value: float
    """0 to 1, as a judge's."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A case with what people say of it."""

    case: Judgeable
    said: tuple[Said, ...]
    inclusion: float | None = None
    """With which probability it was drawn for labelling; None: of the anchor file, where it stands for itself."""

    @property
    def value(self) -> float:
        """The mean of what people say."""
        return sum(each.value for each in self.said) / len(self.said)

    @property
    def side(self) -> float:
        """1: people are for it, 0: against it, 0.5: they are torn, or call it a tie."""
        return side_of(self.value)

    @property
    def cluster(self) -> str:
        """What it belongs to; copies that differ by spaces or capitals belong together."""
        return self.case.cluster or self.case.alike

    @property
    def improves(self) -> bool:
        """Whether automatic improvement may learn from it; gates never judge by it then."""
        return int(content_hash(self.cluster)[:8], 16) % _IMPROVE == 0


def read_anchor(text: str, definition: Mapping[str, Any], *, where: str) -> list[Labelled]:
    """The labelled cases of a JSONL text, each once, in their order.

    Args:
        text: of the file.
        definition: of a judge's version: its form and scale say what a line must hold.
        where: the file, for messages.

    Raises:
        BadJudge: a line is no such object; the message names its number, never its texts.
    """
    words = words_of(definition)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return merged(_labelled(line, definition, words, f"{where}, line {number}") for number, line in lines)


def merged(labelled: Iterable[Labelled]) -> list[Labelled]:
    """Each case once, with what everybody says of it; of one person the last word stands.

    A label without a name is somebody's of their own. What stands in the file is not drawn; of two draws the likelier one
    counts, since a case that the rarer one takes is taken by both.
    """
    found: dict[str, Labelled] = {}
    for each in labelled:
        known = found.get(each.case.id)
        before = () if known is None else known.said
        new = {said.labeller for said in each.said if said.labeller}
        kept = tuple(said for said in before if said.labeller not in new)
        first = each if known is None else known
        found[each.case.id] = replace(first, said=(*kept, *each.said), inclusion=_inclusion(first, each))
    return list(found.values())


def _inclusion(first: Labelled, again: Labelled) -> float | None:
    """Of a case that was drawn; what the file has, or somebody chose again, changes nothing of it."""
    return None if first.inclusion is None else max(first.inclusion, again.inclusion or 0.0)


def digest_of(labelled: Sequence[Labelled]) -> str:
    """Of an anchor set: another one when a case or what people say of it is another, whatever the order."""
    told = sorted((each.case.id, sorted((said.labeller, said.value) for said in each.said)) for each in labelled)
    return content_hash(told)


def _labelled(line: str, definition: Mapping[str, Any], words: Sequence[str], where: str) -> Labelled:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise BadJudge(f"{where}: this is no JSON ({error}).", hint="One JSON object a line.") from None
    if not isinstance(row, dict) or not isinstance(row.get("inputs"), dict):
        raise BadJudge(
            f"{where}: `inputs` is missing.", hint='Such as {"inputs": {"question": "…"}, "answer": "…", …}.'
        )
    unknown = sorted(set(row) - _KEYS)
    if unknown:
        raise BadJudge(f"{where}: {unknown[0]!r} is not known.", hint=f"Known: {', '.join(sorted(_KEYS))}.")
    value = value_of(row.get("label"), words)
    if value is None:
        raise BadJudge(f"{where}: the label is not on the scale.", hint=f"Say one of {', '.join(words)}.")
    if definition["form"] == "reference" and row.get("expected") is None:
        raise BadJudge(f"{where}: `expected` is missing.", hint="A judge of the form `reference` is shown it.")
    labeller, cluster = row.get("labeller", ""), row.get("cluster", "")
    if not isinstance(labeller, str) or not isinstance(cluster, str):
        raise BadJudge(f"{where}: `labeller` and `cluster` are texts.", hint="Put them in quotes.")
    case = Judgeable.of(row["inputs"], _answers(row, definition, where), row.get("expected"), cluster)
    return Labelled(case, (Said(labeller, value),))


def _answers(row: Mapping[str, Any], definition: Mapping[str, Any], where: str) -> tuple[str, ...]:
    n = 2 if definition["form"] == "pairwise" else 1
    answers = row.get("answers", [row["answer"]] if "answer" in row else [])
    sound = isinstance(answers, list) and len(answers) == n and all(isinstance(each, str) for each in answers)
    if not sound or ("answer" in row and "answers" in row):
        wanted = '`answers`: ["…", "…"]' if n == 2 else '`answer`: "…"'
        raise BadJudge(f"{where}: a judge of the form {definition['form']!r} is shown {n}.", hint=f"Give {wanted}.")
    return tuple(answers)
