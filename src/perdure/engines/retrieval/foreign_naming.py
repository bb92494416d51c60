"""Which document a row of another tool's index is of: by a member of its metadata, whatever that tool calls it.

Tools keep a path as they were given it: relative, absolute, a bare file name, an address. The member is taken whose values name
documents of the source most often, and what stands before the names in it is learnt: a value that begins otherwise is of another
source, and nothing is said of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from perdure.core.documents import Scalar

USUAL = ("source", "metadata.source", "file_path", "metadata.file_path", "path", "document", "document_id", "doc_id",
         "ref_doc_id", "filename", "file_name", "url")  # fmt: skip
"""What tools call it; of two members that say as much the earlier is taken."""
ROW_ID = "the row's id"
"""Stands for the row's own id, such as `guide/returns.md#3`, where no member of the metadata names documents."""
_RARE = 0.05
_ENDS = ("#", "::", ":", "|", "?", "@")


@dataclass(frozen=True, slots=True)
class Naming:
    """How rows name documents."""

    member: str
    """Of the metadata; `ROW_ID`: the row's own id."""
    before: frozenset[str]
    """What stands before the names of documents; empty: names are as they are."""
    by_file_name: Mapping[str, str]
    """File name → document, of file names that only one document has; empty: values are paths."""

    def of(self, row_id: str, metadata: Mapping[str, Scalar], documents: Mapping[str, object]) -> str | None:
        """The document of a row, whether it is there or not; None: it names none. Empty: it is of another source."""
        value = _value(self.member, row_id, metadata)
        if value is None:
            return None
        told = _spelt(value, self.member)
        for each in told:
            found = _ends_with(each, documents)
            if found is not None and each.removesuffix(found) in self.before:
                return found
            if each in self.by_file_name:
                return self.by_file_name[each]
        begins = [each for each in self.before if told[0].startswith(each)]
        if not begins:
            return told[0] if self.by_file_name else ""
        return told[0].removeprefix(max(begins, key=len))


def guess(
    rows: Iterable[tuple[str, Mapping[str, Scalar]]], documents: Mapping[str, object], member: str = ""
) -> Naming | None:
    """The naming that finds most documents; None: no member names any.

    Args:
        rows: ids and metadata.
        documents: of the source, by id.
        member: the one that a person named; empty: it is found.
    """
    short = _by_file_name(documents)
    hits: Counter[str] = Counter()
    named: Counter[str] = Counter()
    before: dict[str, Counter[str]] = {}
    for row_id, metadata in rows:
        for name in [member] if member else [*metadata, ROW_ID]:
            value = _value(name, row_id, metadata)
            for told in () if value is None else _spelt(value, name):
                found = _ends_with(told, documents)
                if found is not None:
                    hits[name] += 1
                    before.setdefault(name, Counter())[told.removesuffix(found)] += 1
                    break
                if told in short:
                    named[name] += 1
                    break
    best = _best(hits + named)
    if best is None:
        return Naming(member, frozenset({""}), {}) if member else None
    return Naming(best, _usual(before.get(best, Counter([""]))), short if named[best] > hits[best] else {})


def _usual(before: Counter[str]) -> frozenset[str]:
    """What stands before names often: once in a while a file of another place has a name of this one."""
    least = _RARE * before.total()
    return frozenset(each for each, n in before.items() if n >= least)


def _best(hits: Counter[str]) -> str | None:
    def rank(name: str) -> tuple[int, bool, int]:
        return hits[name], name != ROW_ID, -USUAL.index(name) if name in USUAL else -len(USUAL)

    return max(hits, key=rank, default=None)


def _value(member: str, row_id: str, metadata: Mapping[str, Scalar]) -> str | None:
    value = row_id if member == ROW_ID else metadata.get(member)
    return value.replace("\\", "/") if isinstance(value, str) and value.strip() else None


def _spelt(value: str, member: str) -> Sequence[str]:
    """The value, and it without what tools put after a name."""
    plain = value.removeprefix("./")
    cuts = [plain.rpartition(end)[0] for end in _ENDS if end in plain]
    told = sorted((cut for cut in cuts if cut), key=len, reverse=True)
    return [*told, plain] if member == ROW_ID else [plain, *told]


def _ends_with(value: str, documents: Mapping[str, object]) -> str | None:
    """The document that a path ends with, the longest; it begins where a part of the path does."""
    parts = value.split("/")
    for begin in range(len(parts)):
        found = "/".join(parts[begin:])
        if found in documents:
            return found
    return None


def _by_file_name(documents: Mapping[str, object]) -> dict[str, str]:
    counted = Counter(id_.rpartition("/")[2] for id_ in documents)
    return {id_.rpartition("/")[2]: id_ for id_ in documents if counted[id_.rpartition("/")[2]] == 1 and "/" in id_}
