"""Finds a project's folder and loads what its package declares.

Called by the SDK and the CLI. Assets are collected by attribute: whatever a module of the package
holds under a name, and whatever those assets reach (a view's source, a source's contract). There is
no registry that an import fills, so a project is the same however it was imported.

What surprised us: two projects may both be called `declarations`, and tests load many in one
process. So a load begins by forgetting every module that an earlier load brought in.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from perdure.assets.agent import Agent
from perdure.assets.contract import Contract
from perdure.assets.feature_view import FeatureView
from perdure.assets.graph import Graph
from perdure.assets.guard import Guard
from perdure.assets.index import Index
from perdure.assets.judge import Judge
from perdure.assets.model import Model
from perdure.assets.project import Project, examples_of
from perdure.assets.prompt import Prompt, Prompts
from perdure.assets.route import Route
from perdure.assets.source import Source
from perdure.assets.suite import Suite, Suites
from perdure.assets.team import Team
from perdure.core.errors import BadProject, NotFound, PerdureError, nearest
from perdure.core.settings import Settings
from perdure.surface.checks import CheckNote, check_project
from perdure.surface.import_mistakes import belongs_to, locate, tell

__all__ = ["SETTINGS_FILE", "CheckNote", "LoadedProject", "check_project", "find_project_folder", "load_project"]

SETTINGS_FILE = "perdure.toml"

_from_earlier_loads: set[str] = set()


@dataclass(frozen=True, slots=True, eq=False)
class LoadedProject(Project):
    """A project that was loaded from a package, with the place of each asset's declaration."""

    folder: Path = field(default_factory=Path)
    places: Mapping[tuple[str, str], str] = field(default_factory=lambda: MappingProxyType({}))
    """(kind, name) → `file:line`, the file relative to the project's folder."""


def find_project_folder(start: Path) -> Path:
    """The nearest folder that holds a perdure.toml: `start` or one above it.

    Raises:
        NotFound: there is none.
    """
    start = start.resolve()
    if not start.exists():
        raise NotFound(f"There is no folder {start}.", hint="Give the folder of perdure.toml, or one below it.")
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file():
            return folder
    raise NotFound(
        f"There is no {SETTINGS_FILE} in {start} or above it.",
        hint="Make a project here: perdure init",
        folder=str(start),
    )


def load_project(folder: Path, settings: Settings) -> LoadedProject:
    """Import the package of `settings.project.package` from `folder` and collect what it declares.

    Every module of the package is imported, but for `__main__` and tests. The folder stays on
    `sys.path`, so that functions of the project can import when they run.

    Raises:
        BadProject: no such package, a module that fails to import, two assets of one kind and name, or
            a model, a route, a guard, a prompt, a judge, an index, an agent or a graph under the name of another of them.
        DeclarationError: a declaration is wrong; the leaf that its class raised, led by file and line.
    """
    folder = folder.resolve()
    package = _checked_package(folder, settings.project.package)
    modules = _import_all(folder, package)
    collected = _Collected(folder)
    for module in modules:
        collected.add_module(module, {each.__name__ for each in modules})
    return LoadedProject(
        name=settings.project.name,
        contracts=collected.assets["contract"],
        sources=collected.assets["source"],
        views=collected.assets["feature view"],
        models=collected.assets["model"],
        routes=collected.assets["route"],
        guards=collected.assets["guard"],
        teams=collected.assets["team"],
        prompts=collected.assets["prompt"],
        judges=collected.assets["judge"],
        suites=collected.assets["suite"],
        indexes=collected.assets["index"],
        agents=collected.assets["agent"],
        graphs=collected.assets["graph"],
        folder=folder,
        places=collected.places,
    )


def _checked_package(folder: Path, package: str) -> str:
    offered = sorted(_offered(folder))
    known = f"{folder} holds {', '.join(offered)}." if offered else f"{folder} holds no Python module."
    if not package:
        raise BadProject(
            f"{SETTINGS_FILE} does not say which package declares the assets.",
            hint=f'Write `package = "{offered[0] if offered else "declarations"}"` under [project]. {known}',
        )
    if package.endswith(".py") or not all(part.isidentifier() for part in package.split(".")):
        name = package.removesuffix(".py").strip("./").replace("/", ".")
        raise BadProject(f"project.package is {package!r}, which is no module's name.", hint=f'Write "{name}".')
    top = package.split(".", maxsplit=1)[0]
    if top in sys.stdlib_module_names or top == "perdure" or _is_library(top, folder):
        raise BadProject(
            f"project.package is {package!r}, but {top!r} is a library in use.", hint="Rename the package."
        )
    path = folder.joinpath(*package.split("."))
    if not (path.is_dir() or path.with_suffix(".py").is_file()):
        near = nearest(package, offered)
        raise BadProject(
            f"{SETTINGS_FILE} names the package {package!r}, which is not in {folder}.",
            hint=f"Did you mean {near!r}?" if near else known,
            package=package,
            nearest=near,
        )
    return package


def _is_library(name: str, folder: Path) -> bool:
    """A loaded module of that name lies among the libraries, and not in a project that is kept there itself."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and "site-packages" in Path(file).parts and not belongs_to(folder, file)


def _offered(folder: Path) -> Iterator[str]:
    for each in folder.iterdir():
        if each.name.startswith((".", "_")):
            continue
        if each.suffix == ".py" or (each.is_dir() and next(each.glob("*.py"), None) is not None):
            yield each.stem


def _import_all(folder: Path, package: str) -> list[ModuleType]:
    top = package.split(".", maxsplit=1)[0]
    for name in [each for each in sys.modules if each in _from_earlier_loads or each.split(".")[0] == top]:
        del sys.modules[name]
    before = set(sys.modules)
    sys.path[:] = [str(folder), *(each for each in sys.path if each != str(folder))]
    importlib.invalidate_caches()
    try:
        return list(_import_tree(package))
    except PerdureError as error:
        locate(error, folder)
        raise
    except (Exception, SystemExit) as error:
        raise tell(error, folder, package) from error
    finally:
        brought = [name for name in sys.modules if name not in before]
        _from_earlier_loads.update(
            name for name in brought if belongs_to(folder, getattr(sys.modules[name], "__file__", None))
        )


def _import_tree(name: str) -> Iterator[ModuleType]:
    module = importlib.import_module(name)
    yield module
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda each: each.name):
        if info.name not in ("__main__", "conftest", "tests") and not info.name.startswith("test_"):
            yield from _import_tree(f"{name}.{info.name}")


_MADE: Mapping[
    str, type[Source | FeatureView | Route | Guard | Team | Prompt | Judge | Suite | Index | Agent | Graph]
] = {
    "source": Source,
    "feature view": FeatureView,
    "route": Route,
    "guard": Guard,
    "team": Team,
    "prompt": Prompt,
    "judge": Judge,
    "suite": Suite,
    "index": Index,
    "agent": Agent,
    "graph": Graph,
}
"""Kinds whose assets are objects; models and contracts are classes."""
_POINTED = ("model", "route", "guard", "prompt", "judge", "index", "agent", "graph")
_KINDS = ("contract", "model", *_MADE)


def _kind_and_name(value: Any) -> tuple[str, str] | None:
    for kind, made in _MADE.items():
        if isinstance(value, made):
            return kind, value.name
    if isinstance(value, type) and issubclass(value, Model) and value is not Model:
        return "model", value.name
    if isinstance(value, type) and issubclass(value, Contract) and value is not Contract:
        return "contract", value.__name__
    return None


def _reached(value: Any) -> list[Any]:
    """The assets that an asset names."""
    if isinstance(value, Source):
        return [value.contract]
    if isinstance(value, FeatureView):
        return [each for each in (value.source, value.on) if each is not None]
    if isinstance(value, Route):
        return list(value.guards)
    if isinstance(value, Guard):
        return list(examples_of(value))
    if isinstance(value, type) and issubclass(value, Model):
        return [value.contract, value.rows, value.label.source, *value.features]
    return []


class _Collected:
    """Assets by kind and name, each with its place; tells two under one name apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.assets: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
        self.places: dict[tuple[str, str], str] = {}

    def add_module(self, module: ModuleType, own: set[str]) -> None:
        """Everything the module declares; a class that it only imports from a library is not its own."""
        lines = _lines_of(module)
        for bound, value in vars(module).items():
            if isinstance(value, type) and value.__module__ not in own:
                continue
            if bound in lines or not isinstance(value, type):
                place = f"{self._relative(module)}:{lines[bound]}" if bound in lines else ""
                for each in value.values() if isinstance(value, Prompts | Suites) else (value,):
                    self.add(each, self._place(each, place))

    def add(self, value: Any, place: str) -> None:
        """The asset and what it reaches; nothing happens for other values.

        Raises:
            BadProject: another asset of the same kind has this name.
        """
        identity = _kind_and_name(value)
        if identity is None:
            return
        kind, name = identity
        self._check_name(kind, name, value, place)
        self.assets[kind][name] = value
        if place:
            self.places.setdefault(identity, place)
        for each in _reached(value):
            self.add(each, "")

    def _check_name(self, kind: str, name: str, value: Any, place: str) -> None:
        """Pointers go by an asset's name: what has versions shares none."""
        for other in _POINTED if kind in _POINTED else (kind,):
            known = self.assets[other].get(name)
            if known is None or known is value:
                continue
            told = "is declared twice" if other == kind else f"has the name of a {other}"
            raise BadProject(
                f"{place or 'The project'}: the {kind} {name!r} {told}"
                f" (also {self.places.get((other, name)) or 'elsewhere'}).",
                hint="Give one of them another name.",
                kind=kind,
                name=name,
            )

    def _place(self, value: Any, place: str) -> str:
        """Where it is declared: a prompt or a suite that was read from a file, there."""
        if isinstance(value, Prompt | Suite) and value.file is not None:
            return f"{self._inside(value.file.resolve())}:1"
        return place

    def _relative(self, module: ModuleType) -> str:
        return self._inside(Path(module.__file__ or module.__name__))

    def _inside(self, file: Path) -> str:
        return str(file.relative_to(self.folder)) if file.is_relative_to(self.folder) else str(file)


def _lines_of(module: ModuleType) -> dict[str, int]:
    """Line of each name that the module's own statements bind (imports are not declarations)."""
    if module.__file__ is None:
        return {}
    found: dict[str, int] = {}
    _note_lines(ast.parse(Path(module.__file__).read_bytes()), found)
    return found


def _note_lines(node: ast.AST, found: dict[str, int]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            found[child.name] = child.lineno
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            names = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            found.update(dict.fromkeys(names, child.lineno))
        elif isinstance(child, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            _note_lines(child, found)
