"""What ours and the peers do alike: texts, cuts and vectors. The peers' processes import it too: NumPy and nothing of ours."""

from __future__ import annotations

import hashlib
import os
import random
import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 384
_WORDS = [f"{begin}{middle}{end}" for begin in ("ba", "cor", "den", "fil", "gra", "hol") for middle in ("a", "emi", "o", "ura")
          for end in ("ce", "l", "mon", "st", "ter", "wn")]  # fmt: skip


def write_documents(folder: Path, n: int, *, sections: int = 3, seed: int = 6) -> None:
    """Files of Markdown, each of so many sections of some 700 characters, fifty in a folder; as old as an hour."""
    for number in range(n):
        path = folder / f"{number // 50:03}" / f"{number:05}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document(number, sections=sections, seed=seed))
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)


def document(number: int, *, sections: int = 3, seed: int = 6) -> str:
    """The text of one file; another seed is another text."""
    drawn = random.Random(f"{seed}:{number}")
    parts = []
    for section in range(sections):
        words = drawn.choices(_WORDS, k=110)
        parts.append(f"## Part {number} {section}\n\n{' '.join(words)}.\n")
    return "\n".join(parts)


def cut(text: str) -> list[str]:
    """A document's sections, each without its heading's marks lost: what every contender embeds."""
    parts = text.split("\n## ")
    return [(part if place == 0 else f"## {part}").strip() for place, part in enumerate(parts)]


def vectors(texts: Sequence[str], model: str = "first") -> NDArray[np.float32]:
    """A vector a text, of length 1, by the digest of its text: quick, so that what is measured is everything else."""
    rows = np.empty((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        seed = int.from_bytes(hashlib.blake2b(f"{model}:{text}".encode(), digest_size=8).digest(), "little")
        row[:] = np.random.default_rng(seed).standard_normal(DIMENSIONS, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def process_cpu_s() -> float:
    """CPU seconds of this process so far, all of its threads, native ones too."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
