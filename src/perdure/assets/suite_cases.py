"""What the cases of a suite are to each other, and to the examples of prompts: duplicates, clusters, leaks, the split.

`Suite.frozen` makes of it the snapshot that a run keeps: whatever is edited meanwhile, its verdict is about these cases. Runs, gates
and `perdure check` call this. What surprised us: two cases about one long document are nine tenths the same text and still ask for two
things, so cases are compared member by member; only for clusters, which say what hangs together, all their text counts.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.assets.scorer_specs import label_of, scorer_definition, scorer_of
from perdure.assets.suite_file import PlacedCases, case_digest
from perdure.core.canonical import bytes_hash, canonical_json, content_hash
from perdure.core.errors import BadSuite

if TYPE_CHECKING:
    from perdure.assets.prompt_examples import Example
    from perdure.assets.scorers import Scorer
    from perdure.assets.suite import Case, Suite

_LONG = 20
"""Characters below which texts are the same only if they are equal: so short, one other word is another question."""
_HEX = 12


@dataclass(frozen=True, slots=True)
class Pair:
    """Two cases that are the same, or nearly."""

    first: str
    """Where the one stands."""
    second: str
    exact: bool


@dataclass(frozen=True, slots=True, eq=False)
class FrozenSuite:
    """A suite as it was when a run began: cases with ids and clusters, scorers and margins as data."""

    name: str
    definition: Mapping[str, Any]
    """As `Suite.definition`."""
    cases: tuple[Case, ...]
    digests: tuple[str, ...]
    """What each case is by content, in their order."""
    data: bytes
    """All of it, as `from_bytes` reads it; equal suites, equal bytes."""

    @property
    def digest(self) -> str:
        """SHA-256 of `data`."""
        return bytes_hash(self.data)

    @property
    def version(self) -> str:
        """`refunds@3f2a9c1b7d40`: the suite's name and 12 hex digits of its definition's hash."""
        return f"{self.name}@{content_hash(self.definition)[:_HEX]}"

    @property
    def improve(self) -> tuple[Case, ...]:
        """What automatic improvement may learn from."""
        return tuple(each for each in self.cases if improves(each.cluster, self.definition["improve_share"]))

    @property
    def gate(self) -> tuple[Case, ...]:
        """What gates judge by, and no improvement sees."""
        return tuple(each for each in self.cases if not improves(each.cluster, self.definition["improve_share"]))

    def scorers(self, declared: Suite | None = None) -> tuple[Scorer, ...]:
        """The scorers as they were.

        Args:
            declared: the suite as it is now, for the functions of its custom scorers.

        Raises:
            BadSuite: the function of a custom scorer is not there any more, or has other code.
        """
        now = {} if declared is None else {label_of(each): each for each in declared.scorers}
        return tuple(_thawed(each, now) for each in self.definition["scorers"])

    @classmethod
    def from_bytes(cls, data: bytes) -> FrozenSuite:
        """As `data` holds it."""
        from perdure.assets.suite import Case

        told = msgspec.json.decode(data)
        cases = tuple(
            Case(**{**each, "contexts": tuple(each["contexts"]), "tags": tuple(each["tags"])}) for each in told["cases"]
        )
        return cls(told["name"], told["definition"], cases, tuple(told["digests"]), data)


def freeze(name: str, definition: Mapping[str, Any], read: PlacedCases) -> FrozenSuite:
    """The snapshot of cases that are whole and checked; clusters are found where none is declared."""
    cases, digests = clustered(read.cases, read.digests), read.digests
    told = {"name": name, "definition": definition, "cases": cases, "digests": digests}
    return FrozenSuite(name, definition, cases, digests, canonical_json(told))


def cases_digest(read: PlacedCases) -> str:
    """What a set of cases is: their content, clusters and weights, in whatever order they stand."""
    told = zip(read.cases, read.digests, strict=True)
    return content_hash(sorted([digest, each.cluster, each.weight] for each, digest in told))


def improves(cluster: str, share: float) -> bool:
    """Whether a cluster belongs to what automatic improvement may learn from, and no gate judges by.

    By the cluster's name alone: cases that are added move none to the other side.

    >>> improves("refunds", 0.0), improves("refunds", 1.0)
    (False, True)
    """
    return int.from_bytes(hashlib.sha256(cluster.encode()).digest()[:4]) < share * 2.0**32


def duplicates(read: PlacedCases) -> list[Pair]:
    """Cases that ask the same as an earlier one does, exactly or nearly, each with the first such.

    Exact: inputs and contexts are equal, once their texts are folded; what is expected does not count, since one question with two
    right answers is a mistake too. Cost: some 50 µs a case of 100 characters.
    """
    found: list[Pair] = []
    exact: dict[Any, str] = {}
    near: dict[Any, str] = {}
    groups = _grouped([text for case in read.cases for text in _members(case).values()])
    for case, place in zip(read.cases, read.places, strict=True):
        members = _members(case)
        whole, loose = tuple(members.items()), tuple((name, groups[text]) for name, text in members.items())
        if whole in exact:
            found.append(Pair(exact[whole], place, exact=True))
        elif loose in near:
            found.append(Pair(near[loose], place, exact=False))
        exact.setdefault(whole, place)
        near.setdefault(loose, place)
    return found


def leaks(read: PlacedCases, examples: Sequence[Example]) -> list[Pair]:
    """Cases that stand in a prompt's examples, exactly or nearly: `first` is the case's place, `second` the example's.

    A case whose answer the model is shown proves nothing. Cost: some 50 µs a case, 1 µs a case and example.
    """
    if not examples:
        return []
    shown = [(each, {name: _folded(text) for name, text in each.texts().items()}) for each in examples]
    told = [{name: text for name, text in _members(case).items() if name[0] != _CONTEXT} for case in read.cases]
    groups = _grouped(
        [text for _, texts in shown for text in texts.values()] + [t for each in told for t in each.values()]
    )
    found = []
    for members, place in zip(told, read.places, strict=True):
        for example, texts in shown:
            same = _shows(members, {(_INPUT, name): text for name, text in texts.items()}, groups)
            if same is not None:
                found.append(Pair(place, example.place, exact=same))
                break
    return found


def _shows(
    case: Mapping[tuple[str, str], str], example: Mapping[tuple[str, str], str], groups: Mapping[str, int]
) -> bool | None:
    """True: exactly; False: nearly; None: the example is of something else.

    Of an example written as messages the text must hold all that the case says at length.
    """
    long = {name: text for name, text in case.items() if len(text) >= _LONG}
    said = example.get((_INPUT, MESSAGES_SAID))
    if said is not None:
        whole = long or case
        if whole and all(text in said for text in whole.values()) and (long or said == " ".join(case.values())):
            return True
        return (
            False if len(case) == 1 and all(groups[text] == groups[said] for text in long.values()) and long else None
        )
    shared = case.keys() & example.keys()
    if not shared or not (long or case).keys() <= shared:
        return None
    if all(case[name] == example[name] for name in shared):
        return True
    return False if all(groups[case[name]] == groups[example[name]] for name in shared) else None


MESSAGES_SAID = ""
"""Under this name an example that is written as messages has what its user says."""
_INPUT, _CONTEXT = "inputs", "contexts"


def clustered(cases: Sequence[Case], digests: Sequence[str] = ()) -> tuple[Case, ...]:
    """The cases, each with a cluster: its own, or that of the first case whose text is nearly the same.

    What more than half of the cases say alike (the rules of a shop, given to each) does not make them belong together. A case that is
    added behind the others changes no cluster of theirs, unless such a half is lost by it.

    Args:
        cases: in their order.
        digests: of each, where they are known.
    """
    free = [place for place, case in enumerate(cases) if not case.cluster]
    if not free:
        return tuple(cases)
    members = [_members(cases[place]) for place in free]
    common = Counter(item for each in members for item in each.items())
    texts = [
        " ".join(text for item in each.items() if 2 * common[item] <= len(free) for text in item[1:])
        or " ".join(each.values())
        for each in members
    ]
    groups, first = _grouped(texts), dict[int, str]()
    found = list(cases)
    for place, text in zip(free, texts, strict=True):
        group = groups[text]
        if group not in first:
            first[group] = digests[place] if digests else case_digest(cases[place])
        found[place] = replace(cases[place], cluster=f"~{first[group][:_HEX]}")
    return tuple(found)


def _grouped(texts: Sequence[str]) -> dict[str, int]:
    """Text → number of its group: long ones by what is nearly the same, short ones by themselves."""
    from perdure.core.texts.near import groups

    found: dict[str, int] = {}
    distinct = list(dict.fromkeys(texts))
    long = [text for text in distinct if len(text) >= _LONG]
    leaders = groups([_keys(text) for text in long]).tolist()
    found.update(zip(long, leaders, strict=True))
    short = [text for text in distinct if len(text) < _LONG]
    found.update((text, -1 - place) for place, text in enumerate(short))
    return found


@lru_cache(maxsize=1 << 15)
def _keys(text: str) -> Any:
    from perdure.core.texts.near import keys_of

    return keys_of(text)


def _members(case: Case) -> dict[tuple[str, str], str]:
    """What a case says, folded, by whose it is and under which name."""
    said = said_by_user(case.inputs)
    inputs = case.inputs if said is None else {MESSAGES_SAID: said}
    found = {(_INPUT, name): _folded(value) for name, value in sorted(inputs.items())}
    contexts = [each if isinstance(each, str) else each["text"] for each in case.contexts]
    return {**found, **{(_CONTEXT, str(place)): _folded(text) for place, text in enumerate(contexts)}}


def said_by_user(inputs: Mapping[str, Any]) -> str | None:
    """What the user says in inputs that are messages; None where they are variables."""
    if inputs.keys() != {"messages"}:
        return None
    said = [each["content"] for each in inputs["messages"] if each["role"] == "user"]
    return " ".join(each if isinstance(each, str) else canonical_json(each).decode() for each in said)


def _folded(value: Any) -> str:
    """A text in one spelling: compatibility forms, case and runs of space; what is no text as its JSON."""
    text = value if isinstance(value, str) else canonical_json(value).decode()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def _thawed(told: Mapping[str, Any], now: Mapping[str, Scorer]) -> Scorer:
    settings = {name: value for name, value in told.items() if name != "scorer"}
    if told["scorer"] == "together":
        from perdure.assets.scorers import Together

        return Together(**{**settings, "of": tuple(_thawed(each, now) for each in told["of"])})
    if told["scorer"] != "custom":
        return scorer_of({told["scorer"]: settings})
    for scorer in _all_of(now.values()):
        if scorer_definition(scorer) == told:
            return scorer
    raise BadSuite(
        f"The custom scorer {told['label'] or told['function']!r} is another one than when the run began.",
        hint="Begin a new run, or bring its code back.",
    )


def _all_of(scorers: Iterable[Scorer]) -> Iterator[Scorer]:
    from perdure.assets.scorer_specs import flattened

    return flattened(tuple(scorers))
