"""Verbs of graphs: list them, tell what one takes and gives, run one, draw one as it is declared, released, or as a run of it went.

A version is named by its id or the beginning of it, by a pointer such as `champion`, or as `declared`: what the code says now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from perdure.assets.version import CHAMPION
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import machine_now
from perdure.core.errors import BadRequest, DeclarationError, NotFound, not_found
from perdure.core.ids import version_id
from perdure.surface.governance.entries import by_beginning
from perdure.surface.opened import Opened
from perdure.surface.shadow_seen import ShadowSeen, shadow_seen

if TYPE_CHECKING:
    from perdure.assets.graph import Graph
    from perdure.assets.version import Pointer
    from perdure.engines.graphs.picturing import Went
    from perdure.engines.graphs.typed import Known
    from perdure.serve.runs.protocols import RunEvent
    from perdure.stores.runs.protocols import Told
    from perdure.stores.runs.sqlite import SqliteRuns
    from perdure.surface.sdk import Perdure

DECLARED = "declared"
"""The version that the declaration is now, released or not."""
Drawing = Literal["text", "mermaid", "svg"]


@dataclass(frozen=True, slots=True)
class GraphRow:
    """One graph, as `graph list` tells it."""

    name: str
    nodes: Sequence[str]
    uses: Sequence[str]
    """`kind:name` of what it works with."""
    declared: str
    champion: str
    """The version that answers; empty before the first release."""
    n_versions: int
    """In the ledger."""
    n_errors: int
    """Of its static check."""


@dataclass(frozen=True, slots=True)
class NodeShown:
    """One node, as `graph show` tells it."""

    name: str
    kind: str
    of: str
    """What it works with, as `kind:name`."""
    version: str
    """That answers now; empty where nothing has."""
    stage: int
    """Nodes of one stage can run side by side."""
    needs: Sequence[str]
    fallback: str
    gives: str
    """In words."""


@dataclass(frozen=True, slots=True)
class GraphShown:
    """One version of a graph."""

    name: str
    version: str
    pointers: Sequence[Pointer]
    """Those that point at this version."""
    takes: Mapping[str, Any]
    """JSON schema of what a run is asked."""
    gives: Mapping[str, Any]
    """JSON schema of what a run gives."""
    nodes: Sequence[NodeShown]
    definition: Mapping[str, Any]
    shadow: ShadowSeen | None = None
    """What it did as a shadow; None: nothing."""


class Graphing(Opened):
    """Graphs of a project."""

    def list_graphs(self) -> list[GraphRow]:
        """Every declared graph, with the version that answers and what its static check says."""
        from perdure.surface.check_graphs import graph_notes

        rows = []
        with self._ledger.read() as session:
            champions = {each.asset: each.version for each in session.pointers.list() if each.name == CHAMPION}
            for name, graph in self.project.graphs.items():
                notes = graph_notes(graph, self.project)
                rows.append(
                    GraphRow(
                        name=name,
                        nodes=[node.name for node in graph.nodes],
                        uses=graph.uses(),
                        declared=_id(name, graph.definition()),
                        champion=champions.get(name, ""),
                        n_versions=len(session.registry.list_versions(name)),
                        n_errors=sum(level == "error" for level, _, _ in notes),
                    )
                )
        return rows

    def show_graph(self, name: str, version: str = DECLARED) -> GraphShown:
        """One version of a graph: what it takes and gives, its nodes in the order in which they can run.

        Raises:
            NotFound: no such graph or version; the message names the nearest.
            BadGraph: its nodes go in a circle, or an expression cannot be read.
        """
        from perdure.engines.graphs.compiled import compile_graph
        from perdure.engines.graphs.planning import plan_graph
        from perdure.engines.graphs.schemas import inline, told
        from perdure.engines.graphs.typed import Types

        graph = self.project.graph(name)
        found, definition, pointers = self._version(graph, version)
        compiled = compile_graph(name, definition)
        plan, types, versions = plan_graph(compiled), Types(compiled, self._known(graph)), self._versions()
        nodes = [
            NodeShown(
                name=each,
                kind=compiled.nodes[each].kind,
                of=compiled.nodes[each].of,
                version=versions.get(compiled.nodes[each].of, ""),
                stage=stage,
                needs=plan.needs[each],
                fallback=compiled.nodes[each].fallback,
                gives=told(types.of(each)),
            )
            for stage, names in enumerate(plan.stages, 1)
            for each in names
        ]
        seen = shadow_seen(self.place, name, found, machine_now())
        return GraphShown(name, found, pointers, inline(compiled.input), types.output(), nodes, definition, seen)

    def draw_graph(
        self, name: str, version: str = "", *, run: str = "", form: Drawing = "text", width: int = 120
    ) -> str:
        """A drawing of a graph, with what goes from node to node and the versions that answer.

        Args:
            name: of the graph.
            version: an id or how it begins, a pointer, or `declared`; by default that of the run, else what is declared.
            run: id of a run of it, or how it begins: the drawing shows how far each node came, how long it took and what it cost.
            form: `text` for a terminal, `mermaid` for Markdown, `svg`.
            width: characters of a line of text; a wider drawing becomes a list.

        Raises:
            NotFound: no such graph, version or run; the message names the nearest.
            BadGraph: an expression of it cannot be read.
            DeclarationError: there is no such form.
        """
        from perdure.engines.graphs import drawing_mermaid, drawing_svg, drawing_text
        from perdure.engines.graphs.compiled import compile_graph
        from perdure.engines.graphs.picturing import picture

        if form not in get_args(Drawing):
            raise DeclarationError(f"A graph is not drawn as {form!r}.", hint=f"Use {', '.join(get_args(Drawing))}.")
        if run:
            self._check_is_graphs(name, run)
        graph, went, versions = self.project.graph(name), None, self._versions()
        if run:
            told = self._run(graph, run)
            version = version or told.run.version
            went, versions = _went(told, versions)
        _, definition, _ = self._version(graph, version or DECLARED)
        found = picture(compile_graph(name, definition), self._known(graph), versions, went)
        if form == "text":
            return drawing_text.text(found, width)
        return drawing_svg.svg(found) if form == "svg" else drawing_mermaid.mermaid(found)

    def run_graph(
        self,
        name: str,
        given: Mapping[str, Any] | None = None,
        *,
        version: str = "",
        team: str = "",
        hears: Callable[[RunEvent], None] | None = None,
    ) -> Told:
        """A run of a graph in this process, until it is over or waits for a person; it is kept as a server keeps it.

        Args:
            name: of the graph.
            given: what it is asked.
            version: as with `show_graph`; by default the champion, else what is declared.
            team: whose key it acts for; by default the only one that may ask for it.
            hears: told what it does as it goes on.

        Raises:
            NotFound: no such graph or version; the message names the nearest.
            BadGraph: it is not asked what it takes.
            NotReady: a version cannot be loaded here.
            Refused: no team may ask for it.
        """
        from perdure.serve.runs.asking import RunBody
        from perdure.surface.compose import stores_root
        from perdure.surface.compose_runs_kept import open_runs
        from perdure.surface.running import run_now
        from perdure.surface.running_here import AskedHere, RunsHere

        graph = self.project.graph(name)
        chosen = self._version(graph, version)[0] if version else ""
        body = RunBody(input=dict(given or {}))
        perdure = cast("Perdure", self)
        with closing(open_runs(stores_root(self.folder, self.settings), self.settings)) as runs:
            asked = AskedHere("graph", name, body, chosen, team)
            return run_now(lambda: RunsHere(perdure, runs).run(asked, hears))

    def _known(self, graph: Graph) -> Known:
        from perdure.surface.graph_known import known_nodes, known_of

        known, _ = known_nodes(graph, self.project, known_of(self.project))
        return known

    def _versions(self) -> dict[str, str]:
        """`kind:name` → the version that answers now."""
        with self._ledger.read() as session:
            champions = {each.asset: each.version for each in session.pointers.list() if each.name == CHAMPION}
        found = {f"{self.project.kind_of(name)}:{name}": version
                 for name, version in champions.items() if name in self.project.pointed}  # fmt: skip
        return found | {f"feature_view:{name}": view.version for name, view in self.project.views.items()}

    def _version(self, graph: Graph, version: str) -> tuple[str, Mapping[str, Any], Sequence[Pointer]]:
        definition = plain(graph.definition())
        declared = _id(graph.name, definition)
        with self._ledger.read() as session:
            pointers = session.pointers.list(graph.name)
            known: dict[str, Mapping[str, Any]] = {
                each.id: each.definition for each in session.registry.list_versions(graph.name)
            }
        known[declared] = definition
        named = {each.name: each.version for each in pointers} | {DECLARED: declared}
        found = named.get(version)
        if found is None and version == CHAMPION:
            raise NotFound(f"No version of graph {graph.name!r} answers yet.", hint="Release it: perdure apply")
        if found is None:
            whole = version if "@" in version else f"{graph.name}@{version}"
            if not any(each.startswith(whole) for each in known):
                raise not_found("version", version, [*named, *known])
            found = by_beginning("version", whole, known)
        return found, known[found], [each for each in pointers if each.version == found]

    def _check_is_graphs(self, name: str, run: str) -> None:
        """Say whose run it is where it is no run of this graph: an agent's has no drawing, but a trace.

        Raises:
            NotFound: it is another's.
        """
        from perdure.stores.runs.protocols import Wanted

        with closing(self._runs_kept(run)) as runs:
            known = {each.id: each for each in runs.list(Wanted(limit=1000))}
        try:
            found = known[by_beginning("run", run, known)]
        except (NotFound, BadRequest):
            return  # told by the graph's own runs
        if (found.kind, found.asset) == ("graph", name):
            return
        shows = (
            f"perdure agent trace {found.id}"
            if found.kind == "agent"
            else f"perdure graph draw {found.asset} --run {found.id}"
        )
        raise NotFound(
            f"{found.id} is a run of the {found.kind} {found.asset!r}, not of the graph {name!r}.",
            hint=f"It is shown by: {shows}",
        )

    def _runs_kept(self, run: str) -> SqliteRuns:
        from perdure.surface.compose import stores_root
        from perdure.surface.compose_runs_kept import find_runs

        runs = find_runs(stores_root(self.folder, self.settings), self.settings)
        if runs is None:
            raise NotFound(f"There is no run {run!r}: none was ever begun here.", hint="perdure graph run begins one.")
        return runs

    def _run(self, graph: Graph, run: str) -> Told:
        from perdure.stores.runs.protocols import Wanted

        with closing(self._runs_kept(run)) as runs:
            known = [each.id for each in runs.list(Wanted(asset=graph.name, kinds=("graph",), limit=1000))]
            return runs.get(by_beginning("run", run, known))


def _id(name: str, definition: Mapping[str, Any]) -> str:
    return version_id(name, content_hash(definition))


def _went(told: Told, versions: Mapping[str, str]) -> tuple[Went, dict[str, str]]:
    """How a run went, and the versions that answered in it."""
    from perdure.engines.graphs.picturing import Went

    answered = {name: each for step in told.steps for name, each in step.versions.items()}
    return Went(told.steps, told.run.status), {**versions, **answered}
