"""Ours: an index of a project of its own, built, counted and mended by the same verbs that people use."""

from __future__ import annotations

from pathlib import Path

from perdure.assets.chunkers import ByStructure, ChunkedBy
from perdure.assets.documents import Folder
from perdure.assets.embedders import CustomEmbedder, EmbeddedBy
from perdure.assets.index import Index
from perdure.assets.project import Project
from perdure.core.clock import sleep_s
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.sdk import Perdure
from retrieval_parts import shared

NAME = "bench"
_SETTLED_S = 3.0
"""The times of some file systems are that coarse: tokens of younger files are not believed."""
MADE = CustomEmbedder(shared.vectors, shared.DIMENSIONS, fingerprint="first")
"""Vectors by digest: quick, so that what is measured is everything else."""
SECTIONS = ByStructure(tokens=300, least=0, context=False)
"""A chunk for each section of `shared.document`."""


def write_documents(folder: Path, n: int) -> None:
    """Files of `shared`, left alone until their tokens are believed."""
    shared.write_documents(folder, n)
    sleep_s(_SETTLED_S)


def opened(root: Path, *, embedder: EmbeddedBy = MADE, chunker: ChunkedBy = SECTIONS, suffix: str = "md") -> Perdure:
    """A project below `root` with one index over its folder `docs`."""
    root.mkdir(parents=True, exist_ok=True)
    index = Index(NAME, Folder("docs", include=[f"**/*.{suffix}"]), embedder=embedder, chunker=chunker)
    settings = Settings(project=ProjectSettings(name=NAME, actor="bench"))
    return Perdure(root, settings, project=Project.of(NAME, index))
