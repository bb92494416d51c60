"""What is printed, and the rows of the file."""

from __future__ import annotations

from collections.abc import Sequence

from gateway_parts.load import Measured
from gateway_parts.serving import Serving
from gateway_parts.trials import Soaked
from gateway_parts.turns import KINDS, Figures
from gateway_parts.upstream import STREAMED, TEXT

_WHOLE, _STREAMED = f"{TEXT}|stop", f"{STREAMED}|stop"


class Report:
    """Collects rows and whether all answers were as they should be."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.agrees = True

    def agree(self, also: bool) -> None:
        """One more thing that must hold."""
        self.agrees = self.agrees and also

    def row(self, what: str, ours: float, peer: float, unit: str, ratio: float | None = None) -> None:
        """One comparison, printed and kept; ratio: how many times better ours is."""
        ratio = peer / ours if ratio is None else ratio
        self.rows.append({"what": what, "ours": ours, "peer": peer, "unit": unit, "ratio": ratio})
        print(f"  {what}: {ours:.4g} against {peer:.4g} {unit}, {ratio:.2f}×")

    def figures(
        self, figures: Figures, direct: Serving, bare: Serving, ours: Sequence[Serving], peers: Sequence[Serving]
    ) -> None:
        """The comparison: a table of all, then each of ours against each other."""
        self._table(figures, [direct, bare, *ours, *peers])
        self._answers(figures)
        for mine in ours:
            print(f"\n{mine.name}")
            for other in (bare, *peers):
                self._against(figures, mine, other)
            for kind in KINDS:
                if "stream" in kind:
                    self._first(figures, mine, direct, bare, kind)

    def trial(self, what: str, figures: Figures, bare: Serving, ours: Sequence[Serving]) -> None:
        """Ours against the floor under other conditions."""
        print(f"\n{what}")
        self._answers(figures)
        for mine in ours:
            for _, kind in [each for each in figures.runs if each[0] == mine.name]:
                self._cpu(figures, mine, bare, kind, f"{what}, ")
                name = f"{what}, p50, {kind}, {mine.name} against {bare.name}"
                self.row(name, figures.median(mine, kind, "p50_ms"), figures.median(bare, kind, "p50_ms"), "ms")
            self.row(f"{what}, memory, {mine.name} against {bare.name}", figures.rss_mb[mine.name], figures.rss_mb[bare.name], "MB")  # fmt: skip

    def soak(self, soaked: Soaked) -> None:
        """Memory and latency over a long run; there is no peer, so the bar stands in its place."""
        print(f"\na soak of {soaked.n} requests, {soaked.measured.cpu_us:.0f} cpu µs each")
        growth = soaked.after_mb / soaked.before_mb - 1.0
        print(f"  memory {soaked.before_mb:.1f} → {soaked.after_mb:.1f} MB ({growth:+.2%})")
        print(f"  p50 of the last tenth over that of the first: {soaked.measured.drift:.3f}")
        self.row("soak: memory after against before", soaked.after_mb, soaked.before_mb, "MB")
        self.row("soak: p50 of the last tenth against the first", soaked.measured.drift, 1.0, "ratio")
        self.agree(soaked.measured.answers == {_WHOLE})

    def slow_streams(self, n: int, found: dict[str, tuple[float, Measured]], bare: Serving, ours: Serving) -> None:
        """Memory while many streams are under way."""
        print(f"\n{n} slow streams at once")
        (mine_mb, mine), (bare_mb, theirs) = found[ours.name], found[bare.name]
        self.row(f"{n} slow streams, most memory, against {bare.name}", mine_mb, bare_mb, "MB")
        self.row(f"{n} slow streams, cpu a stream, against {bare.name}", mine.cpu_us, theirs.cpu_us, "us")
        self.agree(mine.answers == theirs.answers == {_STREAMED})

    def _table(self, figures: Figures, servings: Sequence[Serving]) -> None:
        print(f"{'cpu µs a request (p50 ms, first byte p50 ms)':50} " + "  ".join(f"{kind:>32}" for kind in KINDS))
        for each in servings:
            cells = []
            for kind in KINDS:
                if not figures.has(each, kind):
                    cells.append(f"{'–':>32}")
                    continue
                cpu, p50, first = (figures.median(each, kind, what) for what in ("cpu_us", "p50_ms", "first_p50_ms"))
                cells.append(f"{cpu:12.0f} ({p50:7.3f}, {first:7.3f})".rjust(32))
            print(f"{each.name:38} {figures.rss_mb[each.name]:7.1f} MB  " + "  ".join(cells))

    def _answers(self, figures: Figures) -> None:
        found = figures.answers()
        self.agree(found[False] <= {_WHOLE} and found[True] <= {_STREAMED})

    def _against(self, figures: Figures, mine: Serving, other: Serving) -> None:
        for kind in KINDS:
            if figures.has(other, kind):
                self._cpu(figures, mine, other, kind)
        self.row(
            f"memory, {mine.name} against {other.name}", figures.rss_mb[mine.name], figures.rss_mb[other.name], "MB"
        )

    def _cpu(self, figures: Figures, mine: Serving, other: Serving, kind: str, before: str = "") -> None:
        ours, theirs = figures.median(mine, kind, "cpu_us"), figures.median(other, kind, "cpu_us")
        ratio = figures.ratio(other, mine, kind, "cpu_us")
        self.row(f"{before}cpu a request, {kind}, {mine.name} against {other.name}", ours, theirs, "us", ratio)

    def _first(self, figures: Figures, mine: Serving, direct: Serving, bare: Serving, kind: str) -> None:
        at = figures.median(direct, kind, "first_p50_ms")
        ours, theirs = (figures.median(each, kind, "first_p50_ms") - at for each in (mine, bare))
        self.row(f"time to the first token added, p50, {kind}, {mine.name} against {bare.name}", ours, theirs, "ms")
