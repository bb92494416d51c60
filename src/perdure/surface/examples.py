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


def _default_out(name: str) -> Path | None:
    """Where a demo writes: into the example of a checkout, beside the caller for an installed package."""
    packaged = Path(perdure.__file__).resolve().parent / "_examples"
    return Path.cwd() / f"perdure-demo-{name}" if packaged.is_dir() else None


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


def run_demo(
    name: str = "flights", *, days: int | None = None, out: Path | None = None, quiet: bool = False, **options: Any
) -> dict[str, Any]:
    """Run an example whole and give its summary.

    Args:
        name: of the example.
        days: replay only so many days.
        out: folder of what it writes; the default is `out` in the example of a checkout.
        quiet: print nothing.
        options: what else the example's demo takes, such as another `fault` of the flights.

    Raises:
        NotFound: there is no such example; the message names the nearest.
        MissingExtra: the example's data is not installed.
    """
    folder = find_example(name)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(f"_perdure_demo_{name}", folder / "demo.py")
    if spec is None or spec.loader is None:
        raise BadProject(f"The example {name!r} in {folder} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    # A module's dataclasses look their annotations up in it by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    run: Callable[..., dict[str, Any]] = module.run
    return run(days=days, out=out or _default_out(name), quiet=quiet, **options)
