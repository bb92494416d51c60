"""Finds the examples, beside a checkout or inside the installed package, and runs their demo."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import perdure
from perdure.core.errors import BadProject, NotFound, not_found

if TYPE_CHECKING:
    from perdure.surface.sdk import Perdure

_MANAGED = Path("managed") / ".perdure"
"""Of what a demo writes: the stores of the deployment that was looked after."""


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


def open_demo(name: str) -> Perdure:
    """The project of an example, over the stores that its demo left.

    Raises:
        NotFound: there is no such example, or its demo has not run here.
    """
    from perdure.surface.deployments import Deployment

    folder = find_example(name)
    root = (_default_out(name) or folder / "out") / _MANAGED
    if not root.is_dir():
        run = f"perdure demo {name}" if _default_out(name) else f"make {_target('demo', name)}"
        raise NotFound(f"The demo {name!r} has left nothing in {root}.", hint=f"Run it first: {run}")
    return Deployment("managed", folder, root, {}).open()


def console_command(name: str, out: Path) -> str:
    """What opens the console on what a demo left in `out`."""
    folder, default = find_example(name), _default_out(name)
    if default is None and out == folder / "out":
        return f"make {_target('console', name)}"
    if out == default:
        return f"perdure console --demo {name}"
    return f"PERDURE_STORES_ROOT={out / _MANAGED} perdure console -p {folder}"


def _target(verb: str, name: str) -> str:
    return verb if name == "flights" else f"{verb}-{name}"


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
