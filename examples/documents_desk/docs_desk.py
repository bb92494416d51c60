"""A desk that answers from perdure's own documentation: an index over its pages, a small model in this process, guards, two teams.

`python examples/documents_desk/story.py` (or `make demo-llm`) plays it, and leaves everything that it came to in `out/`: from then on the
project is what the story left, and commands and the console open it there.
"""

from __future__ import annotations

import os
from pathlib import Path

from reading import cases, kept_cases

from perdure import (
    Budget,
    Folder,
    GitFiles,
    Guard,
    Index,
    InjectionRules,
    Pii,
    Policy,
    Prompt,
    Ramp,
    Route,
    Secrets,
    Suite,
    Target,
    Team,
    UnitPrices,
    Upstream,
    WordLlama,
    block_ratio,
    days,
    error_ratio,
    eval_score,
    ghosts,
    golden_ndcg,
    hours,
    lag_s,
    scorers,
    skew_ratio,
)

HERE = Path(__file__).resolve().parent
PAGES = HERE.parents[1] / "docs"
OUT = Path(os.environ.get("DOCS_DESK_OUT", HERE / "out"))
MODEL = os.environ.get("DOCS_DESK_MODEL", f"{OUT / 'model.gguf'}?n_ctx=1024&n_threads=1")
"""A GGUF file with its options; or the address of a server that speaks OpenAI's chat completions."""

careful = Policy.act(ramp=Ramp(canary=hours(1), share=0.3), watch=hours(1), cool_down=hours(1))

MARKDOWN = ["**/*.md"]
kept = (OUT / "pages").exists()  # the story's repository of pages; before it ran, the pages themselves
docs = Index(
    "docs",
    GitFiles(str(OUT / "pages"), ref="main", include=MARKDOWN) if kept else Folder(str(PAGES), include=MARKDOWN),
    embedder=WordLlama(256),
    golden=HERE / "golden.jsonl",
    healthy=[
        ghosts(over=hours(1)) <= 0,
        skew_ratio(over=hours(1)) <= 0.001,
        lag_s(quantile=0.99, over=hours(1)) <= 2 * 3600,
        (golden_ndcg(k=10, over=hours(2)) >= 0.5).owed_to("readers"),
    ],
    policy=careful,
)

seldom = [block_ratio(over=hours(12)) <= 0.3]
personal_data = Guard(
    "personal_data", [Pii("email", "phone", "iban")], on=("input", "output"), mode="redact", healthy=seldom
)
injection = Guard("injection", [InjectionRules(), Secrets()], mode="block", healthy=seldom)

model = Upstream("local", MODEL, dialect="openai" if MODEL.startswith("http") else "local")
desk = Route(
    "desk",
    # It costs nothing but this machine's time; priced as a hosted model would be, so that money is there to be seen.
    [Target(model, "smollm2-135m", prices=UnitPrices(input=1.0, output=4.0), params={"temperature": 0, "seed": 1})],
    guards=[personal_data, injection],
    bodies="full",
    healthy=[error_ratio(over=hours(12)) <= 0.2],
)

_wording = OUT / "prompts" / "answer.md"
answer = Prompt.from_file(
    _wording if _wording.exists() else HERE / "prompts" / "answer.md",
    healthy=[(eval_score(suite="facts", over=days(2)) >= 0.7).owed_to("readers")],
    policy=careful,
)

facts = Suite(
    "facts",
    kept_cases(OUT / "cases.jsonl") or cases(PAGES),
    [scorers.Contains()],
    prompt="answer",
    role="primary",
    margin=0.05,
    smallest=0.15,
    improve_share=0.0,
)

readers = Team("readers", routes=("prompt:answer", "index:docs"), budgets=[Budget(5, per="month")])
trial = Team("trial", routes=("prompt:answer", "index:docs"), budgets=[Budget(0.001, per="day")])
