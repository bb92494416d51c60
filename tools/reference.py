"""Writes docs/settings.md and docs/errors.md from the code, so that neither can fall behind it.

`make docs` runs it; a test fails when a page is not what it would write.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import perdure
from perdure.core import settings
from perdure.core.errors import PerdureError, Permanent, Temporary

DOCS = Path(__file__).resolve().parents[1] / "docs"

SETTINGS_HEAD = """\
# Settings

Settings live in `perdure.toml` in the project's folder, and may be overridden by the environment:
`port` of `[serve]` is `PERDURE_SERVE_PORT` there. The environment wins over the file, the file over
the default. An unknown key or a value of the wrong type is an error that names the nearest key.
Truth values are spelled `true` or `false`, in the environment also `1`, `0`, `yes` and `no`.
"""
ROLES_SECTION = """\
## [roles]

Who may say yes. Each key is a role of your own, each value the people that have it; a policy asks for
one by `approve_by="reviewer"`. In the environment names stand between commas:
`PERDURE_ROLES_REVIEWER="ann,bob"`. Where no role is declared, one person works alone: the project's
`actor` has every role. See [governance](governance.md).

```toml
[roles]
reviewer = ["ann", "bob"]
```

Who acts is no setting: `--as NAME`, else `PERDURE_ACTOR`, else `[project] actor`.
"""
ERRORS_HEAD = """\
# Errors

Every error that perdure raises on purpose has a code, an HTTP status and an exit code of the CLI; its
message says what happened and what was expected, its hint what to do. Over HTTP and under `--json`
it is `{"code", "message", "hint", "facts"}`. Codes are stable: write programs against them.

*Temporary* means that the same call may succeed later (`delay_s` says when to try); *permanent* that
it fails again until somebody changes something. Each also inherits a builtin, so plain Python code
can catch `ValueError` or `LookupError`. Decay is never an error: it is a finding.
"""


def settings_page() -> str:
    """docs/settings.md as it should be."""
    parts = [SETTINGS_HEAD]
    for section in dataclasses.fields(settings.Settings):
        if section.name == settings.ROLES:
            parts.append(ROLES_SECTION.rstrip("\n"))
            continue
        kind: Any = section.default_factory
        told = _attribute_docs(kind)
        parts.append(f"## [{section.name}]\n\n{kind.__doc__}\n\n| key | type | default | |\n|---|---|---|---|")
        for key in dataclasses.fields(kind):
            default = str(key.default).lower() if isinstance(key.default, bool) else repr(key.default).replace("'", '"')
            parts.append(f"| `{key.name}` | {key.type} | `{default}` | {told[key.name]} |")
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def errors_page() -> str:
    """docs/errors.md as it should be."""
    _import_all()
    parts = [ERRORS_HEAD, "| code | class | HTTP | exit | again? | |", "|---|---|---|---|---|---|"]
    for kind in tree(PerdureError):
        again = "temporary" if issubclass(kind, Temporary) else "permanent" if issubclass(kind, Permanent) else ""
        told = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
        parts.append(f"| `{kind.code}` | `{kind.__name__}` | {kind.status} | {kind.exit_code} | {again} | {told} |")
    return "\n".join(parts) + "\n"


def tree(root: type[PerdureError]) -> Iterator[type[PerdureError]]:
    """Every error of perdure with a code of its own, parents before children."""
    for kind in root.__subclasses__():
        if kind.__module__.startswith("perdure.") and "code" in vars(kind):
            yield kind
        yield from tree(kind)


def _import_all() -> None:
    """Every module of perdure, so that each error is known; Alembic's run only under Alembic."""
    for found in pkgutil.walk_packages(perdure.__path__, "perdure."):
        if ".migrations" not in found.name and not found.name.endswith("__main__"):
            importlib.import_module(found.name)


def _attribute_docs(kind: type) -> dict[str, str]:
    """The text under each attribute of a class; a KeyError of the caller shows one that has none."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for attribute, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(attribute, ast.AnnAssign)
            and isinstance(attribute.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[attribute.target.id] = " ".join(str(text.value.value).split())
    return found


PAGES = {"settings.md": settings_page, "errors.md": errors_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
        print(f"docs/{name}")
