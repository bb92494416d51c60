"""What is printed, and the rows of the file."""

from __future__ import annotations


class Report:
    """Collects rows, and whether everything was as it should be."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.agrees = True

    def heading(self, text: str) -> None:
        """The begin of a part."""
        print(f"\n{text}")

    def tell(self, text: str) -> None:
        """A line that is printed only."""
        print(f"  {text}")

    def agree(self, also: bool, what: str) -> None:
        """One more thing that must hold; told where it does not."""
        self.agrees = self.agrees and also
        if not also:
            print(f"  IT DOES NOT HOLD: {what}")

    def row(self, what: str, ours: float, peer: float, unit: str, *, more_is_better: bool = False) -> None:
        """One comparison, printed and kept; its ratio says how many times better ours is."""
        over, under = (ours, peer) if more_is_better else (peer, ours)
        ratio = over / max(under, 1.0 if unit in ("cases", "questions") else 1e-9)
        self.rows.append({"what": what, "ours": ours, "peer": peer, "unit": unit, "ratio": ratio})
        print(f"  {what}: {ours:.4g} against {peer:.4g} {unit}, {ratio:.2f}×")
