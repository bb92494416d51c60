"""Damage by careless hands, on the same documents for everybody: what is told, and what is right again after the tool ran.

Each case strikes another document. Ours takes a census, mends what it found, and is looked at; the peers bring their indexes up to
date, which is all that they do. Healed is what holds, row by row, what an index that is built from the source now holds. A silent
change of the embedder leaves fingerprint and checksum right, so only a deep census finds it: it has a round of its own.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from perdure.stores.vectors.packing import pack
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.stores.vectors.sqlite_rows import making_id
from perdure.surface.sdk import Perdure
from perdure.testing.careless import careless
from retrieval_parts import peers, project, shared
from retrieval_parts.peers import Peer
from retrieval_parts.report import Report

KINDS: Mapping[str, frozenset[str]] = {
    "row deleted": frozenset({"missing"}),
    "vector corrupt": frozenset({"corrupt"}),
    "text changed": frozenset({"corrupt"}),
    "document gone": frozenset({"ghost"}),
    "document changed": frozenset({"stale"}),
    "other embedder": frozenset({"wrong_embedder"}),
    "row twice": frozenset({"duplicate"}),
    "row of no document": frozenset({"orphan"}),
}
"""What is done → what a census may call it."""
_SAME = 1e-4
_CHANGED = "UPDATE chunks SET packed = changed(packed, ?, ?) WHERE key = ?"
_SEALED = "UPDATE chunks SET packed = ?, making = ? WHERE key = ?"
SILENT = "embedder changed silently"
Row = tuple[str, str, bool]
"""Document, text, and whether the vector is the text's: tools keep numbers in their own widths."""


@dataclass(frozen=True)
class Case:
    """One damage."""

    kind: str
    document: str
    position: int = 1

    @property
    def id(self) -> str:
        """Of a row that is put beside the others."""
        return f"{self.kind}:{self.document}"


def compare(folder: Path, names: list[str], report: Report, *, quick: bool) -> None:
    """A thousand cases, one after another in one round, and a round of silent changes."""
    n_cases, n_files = (104, 600) if quick else (1_000, 6_000)
    report.heading(f"{n_cases} cases of damage among {n_files} files")
    project.write_documents(folder / "docs", n_files)
    ours = project.opened(folder)
    ours.build_index(project.NAME)
    with ExitStack() as stack:
        others = peers.started(stack, folder, names)
        for other in others:
            other.update()
        report.agree(not ours.census_index(project.NAME).skews, "nothing is found before anything is damaged")
        cases = drawn(folder, n_cases)
        for case in cases:
            _at_source(folder, case)
        for other in others:
            _in_peer(folder, other, cases)
        deleted = _in_ours(_file(ours), cases)
        _judge(folder, ours, others, cases, deleted, report)


def drawn(folder: Path, n: int) -> list[Case]:
    """So many cases, of each kind as many, each of another document."""
    documents = sorted(path.relative_to(folder / "docs").as_posix() for path in (folder / "docs").rglob("*.md"))
    chosen = random.Random(6).sample(documents, n)
    kinds = list(KINDS)
    found = [Case(kinds[place % len(kinds)], document) for place, document in enumerate(chosen)]
    return [
        Case(each.kind, f"nowhere/{each.document}") if each.kind == "row of no document" else each for each in found
    ]


def _at_source(folder: Path, case: Case) -> None:
    path = folder / "docs" / case.document
    if case.kind == "document gone":
        path.unlink()
    elif case.kind == "document changed":
        path.write_text(path.read_text().replace("## Part", "## Chapter", 1))


def _in_ours(file: Path, cases: Sequence[Case]) -> set[int]:
    """By SQL, as a careless hand does it; rows of another embedder have a right checksum, as if a migration had been killed.

    Keys of the rows that were deleted: their words are left.
    """
    with closing(SqliteIndex(file, read_only=True)) as store:
        rows = {(row.document, row.position): row for row in store.chunks()}
    with closing(careless(sqlite3.connect(file))) as connection, connection:
        for case in cases:
            row = rows.get((case.document, case.position))
            if case.kind == "row deleted" and row is not None:
                connection.execute("DELETE FROM chunks WHERE key = ?", (row.key,))
            elif case.kind == "vector corrupt" and row is not None:
                connection.execute(_CHANGED, ("vector", _corrupt(row.vector), row.key))
            elif case.kind == "text changed" and row is not None:
                connection.execute(_CHANGED, ("text", f"No {row.text}", row.key))
            elif case.kind == "other embedder" and row is not None:
                other = shared.vectors([row.text], "second")[0].tobytes()
                told = msgspec.structs.replace(row, vector=other, embedder="second")
                making = making_id(connection, (told.form, told.embedder, told.chunker))
                connection.execute(_SEALED, (pack(told), making, row.key))
            elif case.kind in ("row twice", "row of no document"):
                _inserted(connection, case, row or rows[min(rows)])
    places = [(case.document, case.position) for case in cases if case.kind == "row deleted"]
    return {rows[place].key for place in places}


def _inserted(connection: sqlite3.Connection, case: Case, like: msgspec.Struct) -> None:
    """A row as another is, and of the case's document."""
    names = [
        told[1]
        for told in connection.execute("PRAGMA table_info(chunks)")
        if told[1] not in ("key", "document", "packed")
    ]
    told = msgspec.structs.replace(like, document=case.document)
    columns = ", ".join(f'"{name}"' for name in names)
    connection.execute(
        f"INSERT INTO chunks (document, packed, {columns}) SELECT ?, ?, {columns} FROM chunks WHERE key = ?",
        (case.document, pack(told), like.key),  # type: ignore[arg-type, attr-defined]
    )


def _corrupt(vector: bytes) -> bytes:
    """One bit of an exponent: a number becomes very large."""
    return vector[:3] + bytes([vector[3] ^ 0x40]) + vector[4:]


def _in_peer(folder: Path, peer: Peer, cases: Sequence[Case]) -> None:
    told = [each for case in cases if (each := _for_peer(folder, case)) is not None]
    if peer.name == "CocoIndex":
        with closing(sqlite3.connect(folder / "cocoindex.db")) as connection, connection:
            for each in told:
                _in_table(connection, each)
    else:
        peer.ask("damage", cases=told)


def _for_peer(folder: Path, case: Case) -> dict[str, object] | None:
    """The same damage as one of a row: deleted, changed, or put beside the others."""
    told: dict[str, object] = {"document": case.document, "position": case.position, "id": case.id}
    path = folder / "docs" / case.document
    text = shared.cut(path.read_text())[case.position] if path.exists() else "Words of nobody."
    vector = shared.vectors([text])[0]
    match case.kind:
        case "row deleted":
            return {**told, "verb": "delete"}
        case "vector corrupt":
            broken = np.frombuffer(_corrupt(vector.tobytes()), np.float32)
            return {**told, "verb": "change", "vector": [float(each) for each in broken]}
        case "text changed":
            return {**told, "verb": "change", "text": f"No {text}"}
        case "other embedder":
            return {**told, "verb": "change", "vector": shared.vectors([text], "second")[0].tolist()}
        case "row twice" | "row of no document":
            return {**told, "verb": "insert", "text": text, "vector": vector.tolist()}
    return None


def _in_table(connection: sqlite3.Connection, told: Mapping[str, object]) -> None:
    vector = np.asarray(told["vector"], np.float32).tobytes() if "vector" in told else None
    place = (told["document"], told["position"])
    if told["verb"] == "delete":
        connection.execute("DELETE FROM chunks WHERE document = ? AND position = ?", place)
    elif told["verb"] == "insert":
        connection.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (told["document"], 900, told["text"], vector))
    else:
        query = "UPDATE chunks SET text = coalesce(?, text), vector = coalesce(?, vector) WHERE document = ? AND position = ?"
        connection.execute(query, (told.get("text"), vector, *place))


def _judge(folder: Path, ours: Perdure, others: Sequence[Peer], cases: Sequence[Case], deleted: set[int], report: Report) -> None:  # fmt: skip
    census = ours.census_index(project.NAME)
    told: dict[str, set[str]] = {}
    for skew in census.skews:
        if skew.part != "words" or skew.key not in deleted:
            told.setdefault(skew.document, set()).add(skew.kind)
    found = [case for case in cases if told.get(case.document, set()) & KINDS[case.kind]]
    alarms = told.keys() - {case.document for case in cases}
    mended = ours.repair_index(project.NAME)
    whole = right(folder)
    healed = {"ours": _healed(cases, whole, _ours(_file(ours)))}
    for other in others:
        other.update()
        healed[other.name] = _healed(cases, whole, _theirs(folder, other))
    report.tell(f"ours: {len(found)} found, {healed['ours'].total()} healed, {len(alarms)} false alarms, {mended.n_embedded} texts embedded")  # fmt: skip
    report.agree(len(found) == len(cases) and not alarms, "every damage is found, and nothing else")
    report.agree(healed["ours"].total() == len(cases) and mended.verified, "every damage is healed")
    report.agree(Counter(_ours(_file(ours))) == Counter(each for rows in whole.values() for each in rows), "the index is what a rebuild is")  # fmt: skip
    for other in others:
        report.row(f"cases of damage healed against {other.name}", healed["ours"].total(), healed[other.name].total(), "cases", more_is_better=True)  # fmt: skip
    for kind in KINDS:
        n = sum(case.kind == kind for case in cases)
        report.tell(f"{kind}, {n}: " + ", ".join(f"{name} {each[kind]}" for name, each in healed.items()))
    _silent(folder, ours, {case.document for case in cases}, report)


def _silent(folder: Path, ours: Perdure, but: set[str], report: Report) -> None:
    """Vectors of another model under the same name, with right checksums, of a hundred documents."""
    file, documents = _file(ours), sorted(right(folder).keys() - but)[::5][:100]
    with closing(SqliteIndex(file, read_only=True)) as store:
        rows = [row for row in store.chunks() if row.document in documents]
    with closing(sqlite3.connect(file)) as connection, connection:
        for row in rows:
            told = msgspec.structs.replace(row, vector=shared.vectors([row.text], "second")[0].tobytes())
            making = making_id(connection, (told.form, told.embedder, told.chunker))
            connection.execute(_SEALED, (pack(told), making, row.key))
    census = ours.census_index(project.NAME, deep=True)
    found = {skew.document for skew in census.skews if skew.kind == "wrong_embedder"}
    alarms = {skew.document for skew in census.skews} - set(documents)
    ours.repair_index(project.NAME, deep=True)
    whole = right(folder)
    left = Counter(each for rows in whole.values() for each in rows) - Counter(_ours(file))
    report.tell(f"{SILENT}, {len(documents)} documents: {len(found)} found by a deep census, {len(alarms)} false alarms, {left.total()} rows not healed")  # fmt: skip
    report.agree(found == set(documents) and not alarms and not left, "a silent change of the embedder is found and healed")  # fmt: skip


def right(folder: Path) -> dict[str, list[Row]]:
    """What an index that is built from the source now holds."""
    found = {}
    for path in (folder / "docs").rglob("*.md"):
        texts = shared.cut(path.read_text())
        name = path.relative_to(folder / "docs").as_posix()
        found[name] = _rows((name, text, vector) for text, vector in zip(texts, shared.vectors(texts), strict=True))
    return found


def _rows(told: Iterable[tuple[str, str, object]]) -> list[Row]:
    rows = [(document, text.strip(), np.asarray(vector, np.float32)) for document, text, vector in told]
    expected = shared.vectors([text for _, text, _ in rows])
    return [
        (document, text, bool(np.abs(vector - right).max() < _SAME))
        for (document, text, vector), right in zip(rows, expected, strict=True)
    ]


def _ours(file: Path) -> list[Row]:
    with closing(SqliteIndex(file, read_only=True)) as store:
        return _rows((row.document, row.text, np.frombuffer(row.vector, "<f4")) for row in store.chunks())


def _theirs(folder: Path, peer: Peer) -> list[Row]:
    if peer.name != "CocoIndex":
        return _rows(peer.ask("rows"))
    with closing(sqlite3.connect(folder / "cocoindex.db")) as connection:
        rows = connection.execute("SELECT document, text, vector FROM chunks")
        return _rows((document, text, np.frombuffer(vector, "<f4")) for document, text, vector in rows)


def _healed(cases: Sequence[Case], whole: Mapping[str, Sequence[Row]], there: Iterable[Row]) -> Counter[str]:
    """Kind → cases whose documents are what they should be."""
    rows: dict[str, Counter[Row]] = {}
    for row in there:
        rows.setdefault(row[0], Counter())[row] += 1
    return Counter(case.kind for case in cases if rows.get(case.document, Counter()) == Counter(whole.get(case.document, ())))  # fmt: skip


def _file(ours: Perdure) -> Path:
    return Path(ours.show_index(project.NAME).file)
