"""What a feature view's function becomes: expressions over the fields of one row. Pure data.

The function of a view runs once, on a `Row` whose attributes are expressions, and what it returns
is kept. `engines.features` compiles the same expressions for frames and for single rows; a model
version pins them as JSON, so serving needs none of the user's code.

Four types are enough: `number` (float and int fields; computed in 64-bit floats), `bool`, `text`
and `instant`. An expression never yields NaN or an infinity: where arithmetic would (a division by
zero, the root of a negative number, an overflow), it yields null. Null goes through arithmetic and
comparisons; `&` and `|` follow Kleene's logic (`null & False` is False).

Mistakes raise `BadView` with the file and line of the user's function and what to write instead.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NoReturn

from perdure.assets.mistakes import refuse
from perdure.core.clock import to_us
from perdure.core.errors import nearest

ExprType = Literal["number", "bool", "text", "instant", "null"]
Param = float | int | str | bool | tuple[Any, ...] | None

_NAMES = {"number": "a number", "bool": "a truth value", "text": "a text", "instant": "an instant", "null": "null"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Expr:
    """One node of an expression: an operation, its arguments, the type of what it yields.

    Users do not make it: they get it from the row of a feature view and go on with operators
    (`+ - * / // % **`, comparisons, `& | ~`, `abs`) and the methods below.
    """

    op: str
    type: ExprType
    args: tuple[Expr, ...] = ()
    param: Param = None
    """A field's name, a constant, or a constant parameter such as the digits of `round`."""

    __hash__ = object.__hash__
    __array_ufunc__ = None

    @property
    def kind(self) -> Literal["number", "category"]:
        """What a model sees: a number (truth values are 0 and 1), or a category."""
        return "category" if self.type == "text" else "number"

    def as_json(self) -> dict[str, Any]:
        """The expression as JSON-compatible data; `from_json` reads it back."""
        data: dict[str, Any] = {"op": self.op, "type": self.type}
        if self.args:
            data["args"] = [arg.as_json() for arg in self.args]
        if self.param is not None:
            data["param"] = list(self.param) if isinstance(self.param, tuple) else self.param
        return data

    def __repr__(self) -> str:
        inside = [repr(arg) for arg in self.args]
        if self.op == "field":
            return f"row.{self.param}"
        if self.op == "const":
            return repr(self.param)
        return f"{self.op}({', '.join([*inside, *([repr(self.param)] if self.param is not None else [])])})"

    def __add__(self, other: Any) -> Expr:
        other = _lift(other)
        return _concat(self, other) if "text" in (self.type, other.type) else _arithmetic("add", self, other)

    def __radd__(self, other: Any) -> Expr:
        return _lift(other) + self

    def __sub__(self, other: Any) -> Expr:
        return _arithmetic("sub", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return _arithmetic("sub", other, self)

    def __mul__(self, other: Any) -> Expr:
        return _arithmetic("mul", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return _arithmetic("mul", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return _arithmetic("div", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return _arithmetic("div", other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return _arithmetic("floordiv", self, other)

    def __rfloordiv__(self, other: Any) -> Expr:
        return _arithmetic("floordiv", other, self)

    def __mod__(self, other: Any) -> Expr:
        return _arithmetic("mod", self, other)

    def __rmod__(self, other: Any) -> Expr:
        return _arithmetic("mod", other, self)

    def __pow__(self, other: Any) -> Expr:
        return _arithmetic("pow", self, other)

    def __rpow__(self, other: Any) -> Expr:
        return _arithmetic("pow", other, self)

    def __neg__(self) -> Expr:
        return _arithmetic("neg", self)

    def __abs__(self) -> Expr:
        return _arithmetic("abs", self)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return _compare("eq", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return _compare("ne", self, other)

    def __lt__(self, other: Any) -> Expr:
        return _compare("lt", self, other)

    def __le__(self, other: Any) -> Expr:
        return _compare("le", self, other)

    def __gt__(self, other: Any) -> Expr:
        return _compare("gt", self, other)

    def __ge__(self, other: Any) -> Expr:
        return _compare("ge", self, other)

    def __and__(self, other: Any) -> Expr:
        return _logic("and", self, other)

    def __or__(self, other: Any) -> Expr:
        return _logic("or", self, other)

    def __invert__(self) -> Expr:
        return _logic("not", self)

    __rand__ = __and__
    __ror__ = __or__

    def is_null(self) -> Expr:
        """Whether the value is missing; never null itself."""
        return Expr("is_null", "bool", (self,))

    def fill_null(self, value: Any) -> Expr:
        """The value, or `value` where it is missing."""
        type_, (mine, other) = _unify(self, _lift(value), "fill_null")
        return Expr("fill_null", type_, (mine, other))

    def between(self, low: Any, high: Any) -> Expr:
        """`low <= value <= high`."""
        return _logic("and", self >= low, self <= high)

    def is_in(self, values: Iterable[Any]) -> Expr:
        """Whether the value is one of these constants; null stays null."""
        if self.type == "instant":
            refuse(f".is_in does not work on the instant {self!r}.", "Compare with ==, or take a number of it first.")
        constants = [_lift(value) for value in values]
        if any(constant.op != "const" or constant.type != self.type for constant in constants):
            refuse(
                f".is_in of {_NAMES[self.type]} got {constants!r}.",
                f"Give constants that are {_NAMES[self.type]} each.",
            )
        return Expr("is_in", "bool", (self,), tuple(constant.param for constant in constants))

    # Numbers

    def log1p(self) -> Expr:
        """ln(1 + x); null where x <= -1."""
        return _arithmetic("log1p", self)

    def sqrt(self) -> Expr:
        """The square root; null where x < 0."""
        return _arithmetic("sqrt", self)

    def sin(self) -> Expr:
        """The sine of radians."""
        return _arithmetic("sin", self)

    def cos(self) -> Expr:
        """The cosine of radians."""
        return _arithmetic("cos", self)

    def floor(self) -> Expr:
        """The greatest whole number that is not above."""
        return _arithmetic("floor", self)

    def round(self, digits: int = 0) -> Expr:
        """`x * 10**digits` rounded half to even, divided by `10**digits`. 0 <= digits <= 15."""
        if not 0 <= digits <= 15:
            refuse(f".round({digits!r}) is out of range.", "Use 0 to 15 digits.")
        return _arithmetic("round", self, param=int(digits))

    def clip(self, low: float, high: float) -> Expr:
        """The value, not below `low` and not above `high`, both constants."""
        bounds = tuple(_lift(bound) for bound in (low, high))
        if any(bound.op != "const" or bound.type != "number" for bound in bounds) or low > high:
            refuse(f".clip({low!r}, {high!r}) needs two constant numbers, the lower first.", "Write .clip(0.0, 100.0).")
        return _arithmetic("clip", self, param=tuple(bound.param for bound in bounds))

    def __round__(self, digits: int = 0) -> Expr:
        return self.round(digits)

    def __floor__(self) -> Expr:
        return self.floor()

    # Instants, in UTC

    def hour(self) -> Expr:
        """The hour, 0 to 23, in UTC."""
        return _method("hour", self, "instant", "number")

    def weekday(self) -> Expr:
        """The day of the week in UTC, Monday 1 to Sunday 7 (ISO 8601)."""
        return _method("weekday", self, "instant", "number")

    def month(self) -> Expr:
        """The month in UTC, 1 to 12."""
        return _method("month", self, "instant", "number")

    def day_of_year(self) -> Expr:
        """The day of the year in UTC, 1 to 366."""
        return _method("day_of_year", self, "instant", "number")

    def timestamp_s(self) -> Expr:
        """Seconds since 1970 UTC, with their fraction."""
        return _method("timestamp_s", self, "instant", "number")

    # Texts

    def lower(self) -> Expr:
        """In lower case."""
        return _method("lower", self, "text", "text")

    def length(self) -> Expr:
        """Number of characters (Unicode code points)."""
        return _method("length", self, "text", "number")

    def concat(self, *others: Any) -> Expr:
        """This text and the others, one after another; the same as `+`."""
        joined = self
        for other in others:
            joined = _concat(joined, _lift(other))
        return joined

    # What cannot be traced

    def __bool__(self) -> bool:  # noqa: PLE0304 - it has no truth value and says so
        refuse(
            f"{self!r} has no truth value while the view is traced.",
            "For if/else write when(condition, then, otherwise); for and/or/not write & | ~ with parentheses; "
            "for `in` write .is_in([...]); for a < x < b write x.between(a, b).",
        )

    def __float__(self) -> NoReturn:
        refuse(f"{self!r} has no value while the view is traced.", "Use its methods: x.sin() for math.sin(x).")

    __int__ = __index__ = __float__

    def __getitem__(self, part: Any) -> NoReturn:
        refuse(f"{self!r} has no parts while the view is traced.", "A feature is one value a row; use its methods.")

    def __iter__(self) -> Iterator[Expr]:
        return self[0]

    def __len__(self) -> int:
        return self[0]

    def __contains__(self, part: Any) -> bool:
        return self[part]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = [method for method in dir(type(self)) if not method.startswith("_")]
        near = nearest(name, known)
        return refuse(
            f"An expression has no {name!r}.", f"Did you mean .{near}()?" if near else f"It has {', '.join(known)}."
        )


def _lift(value: Any) -> Expr:
    """`value` as an expression: itself, or a constant."""
    if isinstance(value, Expr):
        return value
    if value is None:
        return Expr("const", "null")
    if isinstance(value, bool):
        return Expr("const", "bool", param=value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return Expr("const", "number", param=float(value))
    if isinstance(value, str):
        return Expr("const", "text", param=str(value))
    if isinstance(value, datetime) and value.tzinfo is not None:
        return Expr("const", "instant", param=to_us(value))
    return refuse(
        f"{value!r} cannot stand in an expression.", "Use finite numbers, texts, truth values, aware datetimes."
    )


def _as_number(expr: Expr, op: str) -> Expr:
    if expr.type == "bool":
        return Expr("number", "number", (expr,))
    if expr.type == "instant":
        refuse(f"{op} does not work on the instant {expr!r}.", "Take a number of it first, such as x.timestamp_s().")
    if expr.type != "number":
        refuse(f"{op} does not work on {_NAMES[expr.type]}: {expr!r}.", "It needs numbers.")
    return expr


def _arithmetic(op: str, *operands: Any, param: Param = None) -> Expr:
    return Expr(op, "number", tuple(_as_number(_lift(operand), op) for operand in operands), param)


def _method(op: str, expr: Expr, needs: ExprType, gives: ExprType) -> Expr:
    if expr.type != needs:
        refuse(f".{op}() needs {_NAMES[needs]}, but {expr!r} is {_NAMES[expr.type]}.", "Check the field's type.")
    return Expr(op, gives, (expr,))


def _concat(left: Expr, right: Expr) -> Expr:
    if (left.type, right.type) != ("text", "text"):
        refuse(
            f"{left!r} is {_NAMES[left.type]} and {right!r} is {_NAMES[right.type]}: they cannot be joined.",
            "Join texts with texts.",
        )
    return Expr("concat", "text", (left, right))


def _unify(left: Expr, right: Expr, op: str) -> tuple[ExprType, tuple[Expr, Expr]]:
    """Both with one type; a truth value counts as a number beside a number, null as anything."""
    if left.type == right.type:
        return left.type, (left, right)
    if right.type == "null":
        return left.type, (left, Expr("const", left.type))
    if left.type == "null":
        return right.type, (Expr("const", right.type), right)
    if {left.type, right.type} == {"bool", "number"}:
        return "number", (_as_number(left, op), _as_number(right, op))
    return refuse(
        f"{op}: {left!r} is {_NAMES[left.type]}, but {right!r} is {_NAMES[right.type]}.", "Both must be of one type."
    )


def _compare(op: str, left: Any, right: Any) -> Expr:
    first, second = _lift(left), _lift(right)
    if "null" in (first.type, second.type):
        refuse("A comparison with None is always null.", "Write .is_null().")
    type_, pair = _unify(first, second, op)
    if type_ == "bool" and op not in ("eq", "ne"):
        pair = (_as_number(first, op), _as_number(second, op))
    return Expr(op, "bool", pair)


def _logic(op: str, *operands: Any) -> Expr:
    lifted = tuple(_lift(operand) for operand in operands)
    for expr in lifted:
        if expr.type != "bool":
            refuse(
                f"{op} needs truth values, but {expr!r} is {_NAMES[expr.type]}.",
                "Put comparisons in parentheses: (a > 1) & (b < 2).",
            )
    return Expr(op, "bool", lifted)


def when(condition: Any, then: Any, otherwise: Any = None) -> Expr:
    """`then` where the condition holds, else `otherwise` (also where the condition is null).

        {"speed": when(t.minutes > 0, t.miles / t.minutes)}

    Raises:
        BadView: the condition is no truth value, or the two are of different types.
    """
    test = _logic("not", condition).args[0]
    type_, (first, second) = _unify(_lift(then), _lift(otherwise), "when")
    if type_ == "null":
        refuse("when(…) gives null either way.", "Give a value for one of the two.")
    return Expr("when", type_, (test, first, second))


def from_json(data: Mapping[str, Any]) -> Expr:
    """The expression that `Expr.as_json` wrote.

    What this version cannot compute is refused when it is compiled.
    """
    param = data.get("param")
    args = tuple(from_json(arg) for arg in data.get("args", ()))
    return Expr(data["op"], data["type"], args, tuple(param) if isinstance(param, list) else param)
