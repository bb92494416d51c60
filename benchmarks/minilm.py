"""all-MiniLM-L6-v2 in int8 against float32: how near its vectors are, and how many more documents a CPU second.

The texts are real: this repository's own documentation, cut at its paragraphs into passages of about 1,000 and 250 characters, and
questions of some ten words out of it; and single words, which are worst for int8, for nothing is averaged. Both embedders run on the same
texts in turns, one text at a time on one thread, which for float32 is faster than batches of 16 with padding. The bars: cosine 0.99 in the
mean and at least, and 1.5 times the documents a CPU second. WordLlama is told beside them.

Run: `python benchmarks/minilm.py [--quick] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from perdure.assets.embedders import MiniLm, WordLlama
from perdure.core.clock import cpu_s, monotonic_s
from perdure.core.errors import MissingExtra
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.protocols import Embedder

DOCS = Path(__file__).parents[1] / "docs"
N_TURNS = 3
LEAST_COSINE = 0.99
LEAST_RATIO = 1.5
WORDS = [
    "x",
    "?",
    "error",
    "price",
    "wifi",
    "Berlin",
    "refund",
    "python",
    "1234",
    "how",
    "c++",
    "API",
    "deadline",
    "invoice",
    "Tuesday",
    "colour",
    "retry",
    "leave",
    "index",
    "cancel",
    "fog",
    "engine",
    "oxygen",
    "postgres",
    "parking",
    "visa",
    "holiday",
    "tax",
    "garden",
    "quorum",
]


def passages(size: int, n: int) -> list[str]:
    """Paragraphs put together until they are `size` characters or more."""
    made: list[str] = []
    for path in sorted(DOCS.rglob("*.md")):
        held = ""
        for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
            held = f"{held}\n\n{paragraph}".strip()
            if len(held) >= size:
                made.append(held[: 2 * size])
                held = ""
    step = max(1, len(made) // n)
    return made[::step][:n]


def questions(n: int) -> list[str]:
    """The first ten words or so of sentences."""
    sentences = re.findall(r"(?<=[.:] )[A-Z][^.|`#\n]{40,}", "\n".join(passages(1000, 400)))
    return [" ".join(each.split()[:11]) for each in sentences[:: max(1, len(sentences) // n)]][:n]


def rates(embedders: dict[str, Embedder], texts: Sequence[str], n_turns: int) -> dict[str, float]:
    """Texts a CPU second of each, the median of turns."""
    taken: dict[str, list[float]] = {name: [] for name in embedders}
    for _ in range(n_turns):
        for name, embedder in embedders.items():
            started = cpu_s()
            embedder.embed(texts)
            taken[name].append(len(texts) / (cpu_s() - started))
    return {name: statistics.median(each) for name, each in taken.items()}


def opened(folder: Path) -> dict[str, Embedder]:
    """The embedders, each opened twice: the second time from the cache."""
    made: dict[str, Embedder] = {}
    for name, declared in (("float32", MiniLm(quantised=False)), ("int8", MiniLm()), ("WordLlama", WordLlama())):
        seconds = []
        for _ in range(2):
            started = monotonic_s()
            made[name] = open_embedder(declared, cache=folder)
            seconds.append(monotonic_s() - started)
        print(f"{name}: opened in {seconds[0]:.2f} s, again in {seconds[1]:.2f} s")
    return made


def measured(embedders: dict[str, Embedder], n: int, n_turns: int) -> tuple[list[dict[str, object]], bool]:
    """The rows, and whether every bar is met."""
    kinds = {
        "passages of 1,000 characters": passages(1000, n),
        "passages of 250 characters": passages(250, n),
        "questions of ten words": questions(n),
        "single words": WORDS,
    }
    rows: list[dict[str, object]] = []
    met = True
    for kind, texts in kinds.items():
        whole, small = (embedders[each].embed(texts) for each in ("float32", "int8"))
        cosines = (whole * small).sum(axis=1)
        rate = rates(embedders, texts, n_turns)
        ratio = rate["int8"] / rate["float32"]
        good = float(cosines.min()) >= LEAST_COSINE and (ratio >= LEAST_RATIO or kind == "single words")
        met = met and good
        print(
            f"{kind} ({len(texts)}): cosine {cosines.mean():.4f}, least {cosines.min():.4f}; a CPU second int8 "
            f"{rate['int8']:.0f}, float32 {rate['float32']:.0f}, {ratio:.2f}×{'' if good else '  <- misses its bar'} "
            f"(WordLlama {rate['WordLlama']:,.0f})"
        )
        what = f"{kind} a cpu second, int8 against float32"
        rows.append({"what": what, "ours": rate["int8"], "peer": rate["float32"], "unit": "texts/s", "ratio": ratio})
        least = float(cosines.min())
        rows.append(
            {
                "what": f"least cosine of {kind}",
                "ours": least,
                "peer": LEAST_COSINE,
                "unit": "",
                "ratio": least / LEAST_COSINE,
            }
        )
    return rows, met


def main() -> int:
    """Print the figures; 1 where one misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--quick", action="store_true", help="fewer texts and turns")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            embedders = opened(Path(folder))
        except MissingExtra as error:
            print(f"Not measured. {error}")
            return 0
        rows, met = measured(embedders, 40 if told.quick else 120, 2 if told.quick else N_TURNS)
    if told.json:
        told.json.write_text(
            json.dumps({"bench": "minilm", "agree": met, "rows": rows}, indent=2) + "\n", encoding="utf-8"
        )
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
