"""The kind "prompt", whole: what compose registers."""

from __future__ import annotations

from perdure.loop.protocols import Kind
from perdure.loop.work.evals.running import run_suite as run_suite_now
from perdure.loop.work.prompts.asked import RunSuite
from perdure.loop.work.prompts.causes import prompt_causes
from perdure.loop.work.prompts.gates import prompt_gates
from perdure.loop.work.prompts.remedies import prompt_remedies
from perdure.loop.work.prompts.signals import prompt_signals


def prompt_kind(run_suite: RunSuite = run_suite_now) -> Kind:
    """The kind "prompt" with all its recipes.

    Args:
        run_suite: asks a suite of versions; by default as `perdure eval run` does.
    """
    signals = {name: make() for name, make in prompt_signals().items()}
    return Kind("prompt", signals, prompt_causes(), prompt_remedies(run_suite), prompt_gates())
