"""The user's code: its hash, whether a server could import it, and where in it something went wrong."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import textwrap
import traceback
from pathlib import Path
from types import CodeType, FunctionType, TracebackType

from perdure.assets.model import Model
from perdure.core.errors import BadModel, PerdureError
from perdure.core.ids import Digest

_CLASS_NAME = re.compile(r"^[\w.<>]*?(\w+)(?=class \1\b)|^[\w.<>]+(?=@)")
"""What `code_hash` puts before the source of a class: its qualified name, and then `class` or a decorator."""


def code_hash(model: type[Model]) -> Digest:
    """SHA-256 of the source of the class and of the classes it builds on, up to `Model`.

    Indentation and the file's other content do not count; functions that a method calls do not
    either. Code without a source file (typed into an interpreter) is hashed by its byte code, which
    differs between versions of Python.
    """
    return Digest(hashlib.sha256(b"".join(part for _, part in _parts(model))).hexdigest())


def code_text(model: type[Model]) -> bytes | None:
    """The very bytes whose SHA-256 is `code_hash`: kept as a blob, they are found by the hash that a version's lineage has.

    None where a class has no source file. `read_code` makes lines of them.
    """
    parts = _parts(model)
    return b"".join(part for _, part in parts) if all(of_text for of_text, _ in parts) else None


def read_code(kept: bytes) -> list[str]:
    r"""The lines of a `code_text`, without the name that stands before each class in it.

    >>> read_code(b"AirTimeclass AirTime(Model):\n    seed = 1\n")
    ['class AirTime(Model):', '    seed = 1']
    """
    return [_CLASS_NAME.sub("", line) for line in kept.decode(errors="replace").splitlines()]


def _parts(model: type[Model]) -> list[tuple[bool, bytes]]:
    """Of each class whether it is text, and its name with its code."""
    parts = []
    for cls in model.__mro__[: model.__mro__.index(Model)]:
        of_text, code = _source(cls)
        parts.append((of_text, cls.__qualname__.encode() + code))
    return parts


def _source(cls: type) -> tuple[bool, bytes]:
    try:
        return True, textwrap.dedent(inspect.getsource(cls)).encode()
    except (OSError, TypeError):
        functions = (value for value in vars(cls).values() if isinstance(value, FunctionType))
        return False, b"".join(_byte_code(function.__code__) for function in functions)


def _byte_code(code: CodeType) -> bytes:
    inner = b"".join(_byte_code(each) for each in code.co_consts if isinstance(each, CodeType))
    constants = [each for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code + repr((code.co_name, code.co_names, constants)).encode() + inner


def is_importable(model: type[Model]) -> bool:
    """Whether another process can import this class: it stands by its name in a module with a file."""
    module = sys.modules.get(model.__module__)
    if module is None or model.__module__ == "__main__":
        return False
    if getattr(module, "__file__", None) is None or "." in model.__qualname__:
        return False
    return getattr(module, model.__name__, None) is model


class UserCode:
    """Whatever the user's method raises inside a `with` becomes a `BadModel` that names file and line.

    perdure's own errors pass unchanged. `what` says in words what ran, when it is not the method itself.
    """

    __slots__ = ("_method", "_model", "_what")

    def __init__(self, model: type[Model], method: str, what: str = "") -> None:
        self._model = model
        self._method = method
        self._what = what or f"{model.__name__}.{method}"

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, PerdureError):
            return
        where = _line_of(self._model, self._method, trace)
        raise BadModel(
            f"{where}{self._what} raised {type(error).__name__}: {error}",
            hint="Mend the method; the error is its own.",
            model=self._model.name,
            error=type(error).__name__,
        ) from error


def _line_of(model: type[Model], method: str, trace: TracebackType | None) -> str:
    """`file:line: ` of the deepest frame in the file that holds the method."""
    function = inspect.unwrap(getattr(model, method))
    file = Path(function.__code__.co_filename)
    lines = [each.lineno for each in traceback.extract_tb(trace) if Path(each.filename) == file]
    return f"{file}:{lines[-1]}: " if lines else ""
