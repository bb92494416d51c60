"""Which node of an agent or a graph is to blame for runs that went worse: cheap evidence first, replays for the few that are left.

Evidence compares journals of runs that went well with those of runs that did not, node by node:

| evidence | of a node |
|---|---|
| `changed` | another version of it took part in the bad runs than in the good ones |
| `failed` | its calls fail in bad runs more often |
| `moved` | what it gives moved: empty results, refusals, numbers, labels, lengths, texts that read like instructions |
| `ill` | it has an open incident of its own, or serves features that differ from their recomputation |

What a model says follows from what it is given, so a chat's own movement counts only as far as nothing before it moved. `suspects` ranks by
that and costs nothing. `ranked` then weighs what came of replays with one node swapped at a time for what stood there when runs went well:
the share of bad runs that come out well, less that of good runs that break. Bad runs are chosen for being bad, and some would do better for
being asked again alone; the good ones pay for that. Pure: same records, same ranking.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from perdure.core.stats import Interval
from perdure.engines.agents.nodes import NodeSeen

Sort = Literal["changed", "failed", "moved", "ill"]
Journals = Sequence[Mapping[str, NodeSeen]]
"""A run an entry: node → what it did."""
_Samples = tuple[Sequence[float], Sequence[float]]
"""Of the good runs, and of the bad ones."""

MOST_SUSPECTS = 4
LEAST = 3
"""Good and bad runs, each: of fewer nothing is compared."""
SURE = 0.35
"""From this score on the first is blamed. Ours: in 60 looks at seeded faults and 70 without one (benchmarks/agents_blame.py, 30 seeds of
the controls more) nobody was blamed wrongly; at 0.3 one was."""
_WEIGHTS: Mapping[Sort, float] = {"changed": 0.6, "failed": 0.9, "moved": 0.6, "ill": 0.4}
_ONE_SIDED = 1.645
_SE, _SE_OF_MANY = 1.5, 3.0
"""Standard errors that a share must be larger by; more of a label, since the one that moved most is taken of hundreds."""
_FAINT = 0.2
_KS_95 = 1.36
_PRIOR, _UNREPLAYED, _UNPROVEN = 0.25, 0.7, 0.45


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that speaks against a node."""

    sort: Sort
    strength: float
    """0 to 1."""
    text: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A node with what speaks against it."""

    node: str
    prior: float
    """0 to 1."""
    signs: tuple[Sign, ...] = ()
    good: str = ""
    """Version that took part in most good runs; empty where it has none."""
    bad: str = ""
    """The same of bad runs."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """What came of replays with one node swapped."""

    swap: Mapping[str, str]
    """What was put in its place."""
    bad: tuple[float, ...]
    """How well runs that went badly come out with it, 0 to 1 each."""
    good: tuple[float, ...] = ()
    """The same of runs that went well."""
    why_not: str = ""
    """Why it could not be swapped; empty where it was."""

    @property
    def effect(self) -> Interval | None:
        """What it does to success, -1 to 1: the share of bad runs that come out well less that of good ones that break; None without any.

        The bounds are one-sided at 95 %, of both shares together, each smoothed by half a run of each sort.
        """
        if not self.bad:
            return None
        fixed, broken = _well(self.bad) / len(self.bad), 0.0
        error = _variance(_well(self.bad), len(self.bad))
        if self.good:
            broken = 1.0 - _well(self.good) / len(self.good)
            error += _variance(_well(self.good), len(self.good))
        reach = _ONE_SIDED * math.sqrt(error)
        return Interval(fixed - broken, fixed - broken - reach, fixed - broken + reach, len(self.bad) + len(self.good))

    @property
    def helps(self) -> bool:
        """Whether it does good for sure."""
        return self.effect is not None and self.effect.low > 0.0


@dataclass(frozen=True, slots=True)
class Blamed:
    """A node as it stands in the ranking."""

    node: str
    score: float
    """0 to 1: how sure."""
    share: float
    """Of the scores of all nodes, 0 to 1."""
    text: str
    suspect: Suspect
    swapped: Swapped | None = None


@dataclass(slots=True)
class _Side:
    """One node in one of the two sets of runs."""

    runs: list[NodeSeen] = field(default_factory=list)
    n: int = 0

    def share(self, has: str) -> float:
        """Of runs in which one of its counters is above 0."""
        has_it = [bool(getattr(each, has)) for each in self.runs]
        return sum(has_it) / max(1, self.n)


def suspects(good: Journals, bad: Journals, ill: Mapping[str, str] | None = None) -> list[Suspect]:
    """Every node that took part, by how much speaks against it without a replay.

    Args:
        good: runs that went well.
        bad: runs that did not.
        ill: node → what is known against it otherwise, in words.

    Cost: O(steps), and a sort of the numbers that each node gave.
    """
    names = sorted({node for run in [*good, *bad] for node in run})
    sides = {node: (_side(good, node), _side(bad, node)) for node in names}
    enough = min(len(good), len(bad)) >= LEAST
    own = {
        node: [*(_signs(before, after) if enough else []), *_ill(node, ill or {})]
        for node, (before, after) in sides.items()
    }
    heard = max((_strongest(signs) for node, signs in own.items() if not _chats(sides[node])), default=0.0)
    found = []
    for node, signs in own.items():
        # A chat speaks of what it was given: what moved before it explains what it says.
        fair = [_less(sign, heard if _chats(sides[node]) else 0.0) for sign in signs]
        counted = sorted((sign for sign in fair if sign.strength > 0.0), key=lambda sign: (-sign.strength, sign.sort))
        before, after = sides[node]
        found.append(Suspect(node, _together(counted), tuple(counted), _usual(before), _usual(after)))
    return sorted(_routes_after_prompts(found), key=lambda each: (-each.prior, each.node))


def few(found: Sequence[Suspect], most: int = MOST_SUSPECTS) -> list[Suspect]:
    """Those that are worth a replay: the first ones that anything speaks against."""
    return [each for each in found if each.prior > 0.02][:most]


def ranked(found: Sequence[Suspect], swapped: Mapping[str, Swapped]) -> list[Blamed]:
    """Nodes by how sure it is that they are to blame, the surest first.

    Args:
        found: as `suspects` gave them.
        swapped: node → what came of its replays; those without are ranked by their evidence alone, at less.
    """
    scores = {each.node: _score(each, swapped.get(each.node)) for each in found}
    total = sum(scores.values()) or 1.0
    order = sorted(found, key=lambda each: (-scores[each.node], each.node))
    return [
        Blamed(
            each.node,
            round(scores[each.node], 4),
            round(scores[each.node] / total, 4),
            _told(each, swapped.get(each.node)),
            each,
            swapped.get(each.node),
        )
        for each in order
        if scores[each.node] > 0.0
    ]


def _score(suspect: Suspect, swapped: Swapped | None) -> float:
    effect = None if swapped is None else swapped.effect
    if effect is None:
        # A version that changed as things went worse may have changed for any reason: alone it proves nothing.
        alone = all(sign.sort == "changed" or sign.strength < _FAINT for sign in suspect.signs)
        return (_UNPROVEN if alone else _UNREPLAYED) * suspect.prior
    careful = 0.5 * (effect.value + effect.low)
    return _PRIOR * suspect.prior + (1.0 - _PRIOR) * max(0.0, careful)


def _variance(n_well: int, n: int) -> float:
    share = (n_well + 0.5) / (n + 1.0)
    return share * (1.0 - share) / n


def _side(runs: Journals, node: str) -> _Side:
    return _Side([run[node] for run in runs if node in run], len(runs))


def _chats(sides: tuple[_Side, _Side]) -> bool:
    return any(run.chats for side in sides for run in side.runs)


def _signs(good: _Side, bad: _Side) -> list[Sign]:
    moved = sorted(_moved(good, bad), key=lambda sign: -sign.strength)[:2]
    return [*_changed(good, bad), *_failed(good, bad), *moved]


def _changed(good: _Side, bad: _Side) -> list[Sign]:
    """The share of bad runs with their usual version, less that of good ones; less so of what changes all the time."""
    newest = _usual(bad)
    if not newest:
        return []
    inside, before = (sum(newest in run.versions for run in side.runs) / max(1, len(side.runs)) for side in (bad, good))
    often = len({version for run in good.runs for version in run.versions} - {newest})
    strength = _clear(inside, before, bad, good) / max(1, often)
    if not strength or not _usual(good):
        return []
    return [
        Sign(
            "changed", strength, f"{newest} took part in {inside:.0%} of the bad runs and {before:.0%} of the good ones"
        )
    ]


def _failed(good: _Side, bad: _Side) -> list[Sign]:
    now, before = bad.share("n_failed"), good.share("n_failed")
    strength = _clear(now, before, bad, good)
    codes = Counter(code for run in bad.runs for code in run.errors)
    what = f" ({codes.most_common(1)[0][0]})" if codes else ""
    return [Sign("failed", strength, f"it fails{what} in {now:.0%} of the bad runs, {before:.0%} of the good ones")]


def _moved(good: _Side, bad: _Side) -> list[Sign]:
    found = []
    for has, words in (
        ("n_empty", "it gives nothing"),
        ("n_refused", "it refuses"),
        ("n_injected", "what it gives reads like instructions"),
    ):
        now, before = bad.share(has), good.share(has)
        found.append(
            Sign(
                "moved",
                _clear(now, before, bad, good),
                f"{words} in {now:.0%} of the bad runs, {before:.0%} of the good ones",
            )
        )
    found += _numbers(good, bad)
    found += _labels(good, bad)
    lengths = _both(good, bad, lambda run: [float(n) for n in run.lengths])
    found.append(_shifted(lengths, "the length of what it gives", " characters", 0.6))
    took = _both(good, bad, lambda run: [run.took_us / 1e6 / max(1, run.n)])
    found.append(_shifted(took, "its time", " s", 0.4))
    return found


def _numbers(good: _Side, bad: _Side) -> list[Sign]:
    paths = sorted({path for run in (*good.runs, *bad.runs) for path in run.numbers})[:20]
    return [_shifted(_both(good, bad, partial(_at, path)), path, "", 1.0) for path in paths]


def _at(path: str, run: NodeSeen) -> Sequence[float]:
    return run.numbers.get(path, ())


def _both(good: _Side, bad: _Side, values: Callable[[NodeSeen], Sequence[float]]) -> _Samples:
    before, after = ([value for run in side.runs for value in values(run)] for side in (good, bad))
    return before, after


def _labels(good: _Side, bad: _Side) -> list[Sign]:
    """The label whose share moved most: one that comes up, or goes away."""
    labels = sorted({word for run in (*good.runs, *bad.runs) for word in run.words})[:500]
    best = Sign("moved", 0.0, "")
    for label in labels:
        now, before = (sum(label in run.words for run in side.runs) / max(1, len(side.runs)) for side in (bad, good))
        strength = max(_clear(now, before, bad, good, _SE_OF_MANY), _clear(before, now, good, bad, _SE_OF_MANY))
        if strength > best.strength:
            best = Sign(
                "moved", strength, f"it gives {label} in {now:.0%} of the bad runs, {before:.0%} of the good ones"
            )
    return [best] if best.text else []


def _clear(now: float, before: float, bad: _Side, good: _Side, errors: float = _SE) -> float:
    """How much larger one share is than another for sure, 0 to 1: less so many standard errors."""
    n, m = max(1, len(bad.runs)), max(1, len(good.runs))
    pooled = (now * n + before * m + 1.0) / (n + m + 2.0)
    error = float(np.sqrt(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)))
    return float(np.clip(now - before - errors * error, 0.0, 1.0) / max(0.05, 1.0 - errors * error))


def _shifted(samples: _Samples, what: str, unit: str, weight: float) -> Sign:
    """How far two samples lie apart: the largest distance of their distributions above what chance gives (Kolmogorov and Smirnov)."""
    good, bad = samples
    if min(len(good), len(bad)) < LEAST:
        return Sign("moved", 0.0, "")
    first, second = np.sort(np.asarray(good)), np.sort(np.asarray(bad))
    places = np.concatenate([first, second])
    apart = np.abs(
        np.searchsorted(first, places, "right") / len(first) - np.searchsorted(second, places, "right") / len(second)
    ).max()
    chance = _KS_95 * np.sqrt((len(first) + len(second)) / (len(first) * len(second)))
    strength = weight * float(np.clip((apart - chance) / max(0.1, 1.0 - min(chance, 0.9)), 0.0, 1.0))
    usual, now = float(np.median(first)), float(np.median(second))
    return Sign("moved", strength, f"{what} is {now:.4g}{unit} instead of {usual:.4g}{unit}")


def _ill(node: str, ill: Mapping[str, str]) -> list[Sign]:
    return [Sign("ill", 1.0, ill[node])] if node in ill else []


def _less(sign: Sign, heard: float) -> Sign:
    return Sign(sign.sort, sign.strength * (1.0 - heard), sign.text) if sign.sort == "moved" else sign


def _strongest(signs: Sequence[Sign]) -> float:
    return max((sign.strength * _WEIGHTS[sign.sort] / 0.9 for sign in signs), default=0.0)


def _together(signs: Sequence[Sign]) -> float:
    """All signs as one, each by its weight: 1 - Π(1 - w s)."""
    left = 1.0
    for sign in signs:
        left *= 1.0 - _WEIGHTS[sign.sort] * sign.strength
    return round(1.0 - left, 6)


def _routes_after_prompts(found: Sequence[Suspect]) -> list[Suspect]:
    """A chat is of a prompt and of a route, and both show the same: it is the prompt's where its version changed, else the model's."""
    prompts = [each for each in found if each.node.startswith("prompt:")]
    changed = any(sign.sort == "changed" for each in prompts for sign in each.signs)
    doubted = "route:" if changed else "prompt:"
    return [
        Suspect(each.node, round(0.6 * each.prior, 6), each.signs, each.good, each.bad)
        if each.node.startswith(doubted) and not any(sign.sort in ("changed", "ill") for sign in each.signs)
        else each
        for each in found
    ]


def _usual(side: _Side) -> str:
    """The version that took part most often; of equals the last by name."""
    counted = Counter(version for run in side.runs for version in run.versions)
    return max(counted, key=lambda each: (counted[each], each), default="")


def _well(outcomes: Sequence[float]) -> int:
    return sum(each >= 0.5 for each in outcomes)


def _told(suspect: Suspect, swapped: Swapped | None) -> str:
    """What speaks against a node, in one sentence."""
    said = [sign.text for sign in suspect.signs[:2]]
    if swapped is not None and swapped.bad:
        instead = ", ".join(_short(value) for value in swapped.swap.values())
        said.append(
            f"with {instead} in its place {_well(swapped.bad)} of {len(swapped.bad)} bad runs come out well, and "
            f"{len(swapped.good) - _well(swapped.good)} of {len(swapped.good)} good ones break"
        )
    elif swapped is not None and swapped.why_not:
        said.append(f"it could not be swapped: {swapped.why_not}")
    return f"{suspect.node}: {'; '.join(said) or 'nothing speaks against it'}"


def _short(value: str) -> str:
    return "the recorded results" if value[:1] in '{["' else value
