"""Tells a mistake in a traced function by the file and line of the user's code."""

from __future__ import annotations

import inspect
from typing import NoReturn

from perdure.core.errors import BadView


def refuse(message: str, hint: str) -> NoReturn:
    """Raise `BadView` with the place of the nearest caller outside of `perdure.assets`.

    Raises:
        BadView: always.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("perdure.assets."):
        frame = frame.f_back
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}: " if frame is not None else ""
    raise BadView(place + message, hint=hint)
