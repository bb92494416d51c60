"""How good guards are on attacks of families that they have never seen, and on harmless texts that look like attacks.

Attacks and some harmless texts come from the package bastioncorpus (MIT), which is installed into an environment of its own.
For each family a learned check is trained on the others, and judged on that one beside the rules, and both together:
recall and AUC with their 95% intervals. Half of the ordinary harmless texts are trained on, the other half judged; look-alikes are
never trained on. Rules may know the corpus' wordings: whoever wrote them could read it.

Run: `python benchmarks/guards.py [--harmless FILE] [--look-alikes FILE] [--json FILE]`. Both files hold texts: a JSON list of strings,
or of objects with `text`, `prompt` or `instruction`; or one such object a line. NotInject (MIT) is made for the second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perdure.assets.guard import Check, Guard, InjectionRules, Pii, Secrets
from perdure.core.clock import cpu_s
from perdure.core.stats import Interval
from perdure.engines.guards.compiling import compile_guard
from perdure.engines.guards.evaluation import FamilyQuality, Judge, LabelledText, leave_one_family_out, share_interval
from perdure.engines.guards.learned import LearnedScorer, load_learned
from perdure.engines.guards.learned_training import train_learned

CORPUS = "bastioncorpus==0.6.0"
EXPORT = (
    "import json, bastioncorpus as b\n"
    "print(json.dumps([[r.text, r.label == 'malicious', r.category] for r in b.load_corpus()]))"
)
MAX_FALSE_BLOCK = 0.02
N_TIMED = 300
BOUND_MS = 1.0
N_LONG = 200_000
N_JUDGED, N_JUDGED_LONG = 200, 3


@dataclass(frozen=True, slots=True)
class Texts:
    """What is trained on and judged."""

    labelled: Sequence[LabelledText]
    look_alikes: Sequence[str]


def corpus() -> list[LabelledText]:
    """The corpus, by a Python that has it."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", CORPUS], check=True)
        rows = json.loads(subprocess.run([python, "-c", EXPORT], check=True, capture_output=True).stdout)
    return [LabelledText(text, harmful, category if harmful else "") for text, harmful, category in rows]


def texts_of(path: Path | None) -> list[str]:
    """The texts of a file, each once."""
    if path is None:
        return []
    content = path.read_text(encoding="utf-8")
    rows = (
        json.loads(content)
        if content.lstrip().startswith("[")
        else [json.loads(each) for each in content.splitlines() if each]
    )
    texts = [
        row if isinstance(row, str) else row.get("text") or row.get("prompt") or row["instruction"] for row in rows
    ]
    return list(dict.fromkeys(texts))


def rules() -> Judge:
    """The rules alone."""
    compiled = compile_guard("rules", "v1", Guard("rules", [InjectionRules()]).definition(), {})

    def judge(text: str) -> tuple[bool, float]:
        verdict = compiled.judge([{"role": "user", "content": text}], {})
        return verdict.found, verdict.score

    return judge


def learned(texts: Sequence[LabelledText]) -> tuple[Judge, LearnedScorer]:
    """A learned check that was trained on these texts."""
    made = train_learned(
        [each.text for each in texts], [each.harmful for each in texts], [each.family for each in texts],
        max_false_block=MAX_FALSE_BLOCK, seed=0,
    )  # fmt: skip
    scorer = load_learned({"max_false_block": MAX_FALSE_BLOCK}, made.artifact)

    def judge(text: str) -> tuple[bool, float]:
        score = scorer.score(text)
        return score >= scorer.threshold, score

    return judge, scorer


def either(first: Judge, second: Judge) -> Judge:
    """What one of both catches."""

    def judge(text: str) -> tuple[bool, float]:
        one, other = first(text), second(text)
        return one[0] or other[0], max(one[1], other[1])

    return judge


def unseen(texts: Texts, ruled: Judge) -> dict[str, list[FamilyQuality]]:
    """Each harmful family by guards that were not trained on it."""
    kept: dict[str, Judge] = {}

    def train(rest: Sequence[LabelledText], family: str) -> Judge:
        if family not in kept:
            kept[family] = learned(rest)[0]
        return kept[family]

    ways: dict[str, Callable[[Sequence[LabelledText], str], Judge]] = {
        "rules": lambda _rest, _family: ruled,
        "learned": train,
        "both": lambda rest, family: either(train(rest, family), ruled),
    }
    return {name: leave_one_family_out(texts.labelled, way) for name, way in ways.items()}


def in_vain(texts: Texts, ruled: Judge) -> dict[str, dict[str, Interval]]:
    """False blocks of ordinary texts and of look-alikes, by guards trained on every family."""
    harmless = [each for each in texts.labelled if not each.harmful]
    judge, _ = learned([each for each in texts.labelled if each.harmful] + harmless[::2])
    asked = {"ordinary": [each.text for each in harmless[1::2]], "look-alikes": list(texts.look_alikes)}
    ways = {"rules": ruled, "learned": judge, "both": either(judge, ruled)}
    return {
        kind: {name: share_interval(np.array([way(text)[0] for text in some])) for name, way in ways.items()}
        for kind, some in asked.items()
        if some
    }


def score_ms(texts: Texts) -> float:
    """CPU of scoring 1,000 characters."""
    _, scorer = learned(list(texts.labelled))
    text = (" ".join(each.text for each in texts.labelled if not each.harmful) * 2)[:1000]
    scorer.score(text)
    began = cpu_s()
    for _ in range(N_TIMED):
        scorer.score(text)
    return (cpu_s() - began) / N_TIMED * 1e3


def long_texts(harmless: Sequence[str]) -> dict[str, str]:
    """A question, and 200,000 characters (some 50,000 tokens) of prose, of code and of documents."""
    root = Path(__file__).parent.parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(root.glob("src/**/*.py")))
    docs = "\n".join(path.read_text(encoding="utf-8") for path in sorted(root.glob("docs/**/*.md")))
    prose = " ".join(harmless)
    return {
        "short question": "How do I tell my customers that their orders will arrive two days later than we said?",
        "prose": (prose * (N_LONG // len(prose) + 1))[:N_LONG],
        "code": code[:N_LONG],
        "docs": docs[:N_LONG],
    }


def cpu_ms(check: Check, text: str) -> float:
    """CPU of judging a text that was not met before, the best of some: a digit at its end makes each another."""
    took = []
    for turn in range(N_JUDGED if len(text) < N_LONG else N_JUDGED_LONG):
        judge = compile_guard("timed", "v1", Guard("timed", [check]).definition(), {}).judge
        messages = [{"role": "user", "content": f"{text} {turn}"}]
        began = cpu_s()
        judge(messages, {})
        took.append(cpu_s() - began)
    return min(took) * 1e3


def print_cpu(texts: Texts) -> None:
    """What the checks cost by the kind of text."""
    checks: dict[str, Check] = {"pii": Pii(), "secrets": Secrets(), "injection_rules": InjectionRules()}
    print(f"\n{'CPU a text, ms':22}" + "".join(f"{name:>18}" for name in checks))
    for kind, text in long_texts([each.text for each in texts.labelled if not each.harmful]).items():
        print(f"{kind:22}" + "".join(f"{cpu_ms(check, text):>18.3f}" for check in checks.values()))


def told(found: Interval | None) -> str:
    """A share with its interval."""
    return "-" if found is None else f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def row(what: str, ours: float, peer: float, *, higher: bool) -> dict[str, Any]:
    """A line of the figures; `ratio`: how many times better ours is, null where one of them is 0."""
    above, below = (ours, peer) if higher else (peer, ours)
    return {
        "what": what,
        "ours": ours,
        "peer": peer,
        "unit": "ratio",
        "ratio": above / below if above and below else None,
    }


def report(texts: Texts) -> list[dict[str, Any]]:
    """Print the tables; returns the figures' rows."""
    ruled, rows = rules(), []
    families = unseen(texts, ruled)
    print("Families that were not trained on: recall, and AUC against ordinary harmless texts, with 95% intervals")
    print(f"{'family':22}{'n':>4}  {'rules':22}{'learned':22}{'both':22}{'AUC learned':22}")
    for by_rules, by_learned, both in zip(*(families[name] for name in ("rules", "learned", "both")), strict=True):
        shown = [told(each.caught) for each in (by_rules, by_learned, both)] + [told(by_learned.auc)]
        print(f"{both.family:22}{both.caught.n:>4}  " + "".join(f"{each:22}" for each in shown))
        what = f"recall of unseen {both.family}, rules and learned, against rules alone"
        rows.append(row(what, both.caught.value, by_rules.caught.value, higher=True))
    print("\nHarmless texts that are blocked, with 95% intervals")
    for kind, found in in_vain(texts, ruled).items():
        print(f"{kind:22}{found['both'].n:>4}  " + "".join(f"{told(each):22}" for each in found.values()))
        what = f"false blocks of {kind}, rules and learned, against rules alone"
        rows.append(row(what, found["both"].value, found["rules"].value, higher=False))
    took = score_ms(texts)
    print(
        f"\n1,000 characters are scored in {took:.2f} ms of CPU: the bound of {BOUND_MS} ms is {'kept' if took <= BOUND_MS else 'MISSED'}"
    )
    print_cpu(texts)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--harmless", type=Path, help="more ordinary harmless texts")
    parser.add_argument("--look-alikes", type=Path, help="harmless texts that look like attacks, such as NotInject's")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    more = [LabelledText(text, False) for text in texts_of(arguments.harmless)]
    rows = report(Texts([*corpus(), *more], texts_of(arguments.look_alikes)))
    if arguments.json:
        figures = {"bench": "guards", "agree": True, "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
