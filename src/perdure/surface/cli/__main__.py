"""`python -m perdure.surface.cli`: the same command, by the interpreter that runs now."""

from perdure.surface.cli import main

main()
