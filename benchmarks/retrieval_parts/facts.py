"""A base of facts at two dates, whose front matter is its own truth: what is found before and after an index follows it.

Questions ask for dates of end of life, as the second snapshot says them: half of them of facts that changed or came between the two. A
question is answered where one of the first chunks that are found states the release with its true date; a chunk that states it with
another date is a stale answer.
"""

from __future__ import annotations

import random
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml

from perdure.assets.chunkers import ByStructure
from perdure.assets.embedders import WordLlama
from perdure.surface.sdk import Perdure
from retrieval_parts import history, project
from retrieval_parts.report import Report

_K = 8
_CYCLE = re.compile(r"releaseCycle:\s*[\"']?([^\"'\n]+?)[\"']?\s*$(.*?)(?=releaseCycle:|\Z)", re.MULTILINE | re.DOTALL)
_EOL = re.compile(r"^\s*eol:\s*(\S+)", re.MULTILINE)
Facts = Mapping[tuple[str, str], str]
"""Document, release → when it ends."""


def compare(folder: Path, snapshots: Path | None, report: Report, *, quick: bool) -> None:
    """The first snapshot is indexed, the second put in its place, and the same questions are asked before and after."""
    report.heading("a base of facts at two dates")
    if snapshots is None:
        report.tell("not measured: --endoflife names no folder of snapshots")
        return
    first, second = sorted(snapshots.glob("*.tar.gz"))[:2]
    ours, docs = _opened(folder / "ours"), folder / "ours" / "docs"
    before, _ = _check_out(first, docs)
    ours.build_index(project.NAME)
    after, titles = _check_out(second, docs)
    asked = _drawn(before, after, 40 if quick else 200)
    blind = _answered(ours, asked, after, titles)
    report.agree(bool(ours.census_index(project.NAME).skews), "a census sees that the index is behind")
    done = ours.sync_index(project.NAME, allow_deletion=True)[0]
    seen = _answered(ours, asked, after, titles)
    report.tell(
        f"{first.stem[:10]} to {second.stem[:10]}: {done.changed} documents changed, {done.n_embedded} texts embedded"
    )
    report.row(f"of {len(asked)} questions answered rightly, against the index that did not follow", seen[0], blind[0], "cases", more_is_better=True)  # fmt: skip
    report.row(f"of {len(asked)} questions answered by what is past, against the same", seen[1], blind[1], "questions")
    report.agree(seen[1] == 0, "nothing that is past is found after the index followed")
    report.agree(not ours.census_index(project.NAME).skews, "a census finds nothing after it followed")
    report.agree(history.same_as_rebuilt(folder, ours, _opened), "the index that followed is what a rebuild makes")


def _opened(root: Path) -> Perdure:
    return project.opened(root, embedder=WordLlama(), chunker=ByStructure())


def _check_out(snapshot: Path, folder: Path) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Make a folder a snapshot; its facts, and the products' names."""
    kept: set[Path] = set()
    facts: dict[tuple[str, str], str] = {}
    titles: dict[str, str] = {}
    with tarfile.open(snapshot) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".md") else None
            if file is None:
                continue
            name, data = PurePosixPath(member.name).name, file.read()
            history.write(folder / name, data)
            kept.add(folder / name)
            told = yaml.load(data.decode().split("\n---")[0], getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            titles[name] = str(told["title"])
            for release in told.get("releases") or ():
                if re.fullmatch(r"\d{4}-\d\d-\d\d", str(release.get("eol"))):
                    facts[name, str(release["releaseCycle"])] = str(release["eol"])
    history.remove_others(folder, kept)
    return facts, titles


def _drawn(before: Facts, after: Facts, n: int) -> list[tuple[str, str]]:
    """Half of facts that changed or came, half of others."""
    drawn = random.Random(6)
    moved = sorted(fact for fact, end in after.items() if before.get(fact) != end)
    stood = sorted(fact for fact, end in after.items() if before.get(fact) == end)
    return [*drawn.sample(moved, min(len(moved), n // 2)), *drawn.sample(stood, min(len(stood), n // 2))]


def _answered(
    ours: Perdure, asked: Sequence[tuple[str, str]], truth: Facts, titles: Mapping[str, str]
) -> tuple[int, int]:
    """How many questions are answered rightly, and how many by a date that is past."""
    n_right = n_past = 0
    for name, cycle in asked:
        question = f"When does {titles[name]} releaseCycle {cycle} reach its eol, its end of life?"
        found = [chunk.text for chunk in ours.search_index(project.NAME, question, k=_K) if chunk.document == name]
        dates = {
            eol[1]
            for text in found
            for told in _CYCLE.finditer(text)
            if told[1] == cycle and (eol := _EOL.search(told[2]))
        }
        dates = {date.strip("\"'") for date in dates}
        n_right += dates == {truth[name, cycle]}
        n_past += bool(dates - {truth[name, cycle]})
    return n_right, n_past
