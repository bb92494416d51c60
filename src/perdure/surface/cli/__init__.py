"""The command line: `perdure init | check | train | runs | apply | up | serve | tick | status | ledger | demo`."""

from __future__ import annotations


def main() -> None:
    """Entry point of the `perdure` command."""
    from perdure.surface.cli.app import run

    run()
