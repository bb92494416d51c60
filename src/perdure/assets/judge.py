"""Judges: models that say how good an answer is, pinned, calibrated on people's labels, and repaired when they drift.

    helpful = Judge(
        "helpfulness",
        "Does the answer solve what was asked, in the shop's own rules?",
        route="judges",
        anchor="anchors/helpfulness.jsonl",
        healthy=[judge_agreement(over=days(30)) >= 0.8, judge_shift(over=days(1)) <= 0.05],
    )

A version pins the rubric, the form, the route's name, the model and its parameters. `engines.judges` writes what is asked, reads what
comes back and measures it; `loop.work.judges` keeps it healthy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.prompt_file import located
from perdure.core.canonical import plain
from perdure.core.errors import BadJudge

Form = Literal["pointwise", "pairwise", "reference"]
"""`pointwise`: one answer by the rubric; `pairwise`: two answers, in both orders; `reference`: one beside the expected one."""
Says = Literal["reason", "word"]
"""`reason`: the verdict with a sentence that gives the reason, and a nonce; `word`: the verdict alone."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A judge of answers.

    Args:
        name: of the judge.
        rubric: what is good, in words for model and people alike.
        route: name of the route that answers it.
        form: what it is shown.
        scale: what it may say, worst first, such as `("bad", "good")` or `(1, 2, 3, 4, 5)`; scored from 0 to 1 in even steps.
        model: `upstream/model` that it was calibrated with, which the route must answer with; empty: whichever does.
        params: members of its requests; temperature is 0 unless set.
        panel: further routes that are asked too; the median counts, of two words the majority.
        repeats: how often each is asked.
        says: what it answers; the verdict alone is what a small model can give too.
        anchor: file (JSONL) of cases with answers that people labelled: what it is calibrated on.
        healthy: objectives.
        policy: how far the loop may go alone.
    """

    name: str
    rubric: str
    route: str
    form: Form = "pointwise"
    scale: Sequence[str | int] = ("bad", "good")
    model: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    panel: Sequence[str] = ()
    repeats: int = 1
    says: Says = "reason"
    anchor: str | Path | None = None
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadJudge(f"The judge name {self.name!r} is not legal.", hint="Use a-z, 0-9 and _ in it.")
        if not self.rubric.strip() or not self.route:
            raise BadJudge(
                f"Judge {self.name!r} lacks its rubric or its route.", hint="Say what is good, and who judges."
            )
        if len(self.scale) < 2 or len(set(self.scale)) != len(self.scale):
            raise BadJudge(
                f"The scale of judge {self.name!r} is {list(self.scale)!r}.", hint="At least two words, all different."
            )
        if self.form not in get_args(Form):
            raise BadJudge(f"Judge {self.name!r} has the form {self.form!r}.", hint=f"Use {', '.join(get_args(Form))}.")
        if self.says not in get_args(Says):
            raise BadJudge(f"Judge {self.name!r} says {self.says!r}.", hint=f"Use {', '.join(get_args(Says))}.")
        if self.anchor is not None:
            object.__setattr__(self, "anchor", located(self.anchor))
        if self.repeats < 1:
            raise BadJudge(f"Judge {self.name!r} is asked {self.repeats} times.", hint="At least once.")
        for name in ("scale", "panel", "healthy"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def definition(self) -> dict[str, Any]:
        """What its versions are: all that makes it say what it says."""
        return {
            "rubric": self.rubric,
            "route": self.route,
            "form": self.form,
            "scale": list(self.scale),
            "model": self.model,
            "params": plain({"temperature": 0, **self.params}),
            "panel": list(self.panel),
            "repeats": self.repeats,
            # Versions of before there was a choice keep their ids.
            **({} if self.says == "reason" else {"says": self.says}),
        }
