"""Expressions as a list of steps, each computed once, and the scalar functions both compilers share.

Frames and rows must agree to the bit, so whatever a platform's vector library may compute otherwise
than its scalar one (`pow`, `log1p`, `sin`, `cos`, lower case) is computed by the functions here on
both paths. Addition, multiplication, division, roots and rounding are exact by IEEE 754 in either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.assets.expressions import Expr, ExprType, Param
from perdure.core.clock import EPOCH
from perdure.core.errors import BadView

FLOAT32_LIMIT = (2.0 - 2.0**-24) * 2.0**127
"""Numbers of this size and more round to infinity in 32 bits (halfway from the greatest float32 to 2**128)."""
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_DAYS_BEFORE = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on the results of earlier steps."""

    op: str
    type: ExprType
    args: tuple[int, ...]
    param: Param


def steps_of(exprs: Iterable[Expr]) -> tuple[list[Step], list[int]]:
    """The steps that compute `exprs`, arguments before their users, and the step of each expression.

    Equal parts become one step, wherever they stand.
    """
    steps: dict[Step, int] = {}
    seen: dict[int, int] = {}

    def place(expr: Expr) -> int:
        if id(expr) not in seen:
            step = Step(expr.op, expr.type, tuple(place(arg) for arg in expr.args), expr.param)
            seen[id(expr)] = steps.setdefault(step, len(steps))
        return seen[id(expr)]

    outputs = [place(expr) for expr in exprs]
    return list(steps), outputs


def unknown_operation(op: str) -> BadView:
    """The error for an operation that this version does not compute."""
    return BadView(f"The operation {op!r} is unknown.", hint="Was the view stored by a newer version of perdure?")


def power(base: float, exponent: float) -> float:
    """`base ** exponent`; NaN where it is not real, an infinity where it overflows."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan


def log1p(x: float) -> float:
    """ln(1 + x); NaN where x <= -1."""
    return math.log1p(x) if x > -1.0 else math.nan


def round_scaled(x: float, scale: float) -> float:
    """`x * scale` rounded half to even, divided by `scale`; NaN where the product overflows."""
    scaled = x * scale
    return round(scaled) / scale if scaled - scaled == 0.0 else math.nan


def day_of_year(at: datetime) -> int:
    """1 to 366."""
    year, month = at.year, at.month
    leap = month > 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS_BEFORE[month] + at.day + leap


def timestamp_s(at: datetime) -> float:
    """Microseconds since 1970 as a 64-bit float, divided by a million."""
    return float((at - EPOCH) // _MICROSECOND) / 1e6
