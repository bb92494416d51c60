"""Finds the examples, beside a checkout or inside the installed package, and runs their demo."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import perdure
from perdure.core.errors import BadProject, not_found


def examples_folder() -> Path:
    """The folder of all examples."""
    package = Path(perdure.__file__).resolve().parent
    packaged = package / "_examples"
    return packaged if packaged.is_dir() else package.parents[1] / "examples"


def find_example(name: str) -> Path:
    """Folder of the example of that name.

    Raises:
        NotFound: there is none; the message names the nearest.
    """
    folder = examples_folder()
    names = sorted(path.parent.name for path in folder.glob("*/demo.py"))
    if name not in names:
        raise not_found("example", name, names)
    return folder / name


def run_demo(name: str, *, days: int | None, out: Path | None, quiet: bool) -> dict[str, Any]:
    """Run the example's `demo.run` and give its summary."""
    folder = find_example(name)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(f"_perdure_demo_{name}", folder / "demo.py")
    if spec is None or spec.loader is None:
        raise BadProject(f"The example {name!r} in {folder} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run: Callable[..., dict[str, Any]] = module.run
    return run(days=days, out=out, quiet=quiet)
