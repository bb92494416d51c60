"""Whether what callers could send is accepted still: each change of a field, and its reverse."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field
from pydantic import create_model as made

from perdure import Contract
from perdure.assets.fields import contract_definition
from perdure.surface.ci.contracts import contract_changes

_LATER = datetime(2026, 1, 2, tzinfo=UTC)
_EARLIER = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Shop(StrEnum):
    north = "north"
    south = "south"


def definition(**fields: Any) -> dict[str, Any]:
    declared = {name: each if isinstance(each, tuple) else (each, ...) for name, each in fields.items()}
    return contract_definition(made("Order", __base__=Contract, **declared))


def risks(before: dict[str, Any], after: dict[str, Any], *, served: bool = True) -> list[str]:
    return [change.risk for change in contract_changes(before, after, served=served)]


NARROWS = [
    (float, int),
    (str, Literal["a"]),
    (str, bool),
    (float | None, float),
    (Literal["a", "b"], Literal["a"]),
    (float, Annotated[float, Field(gt=0)]),
    (Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]),
    (Annotated[int, Field(ge=0)], Annotated[int, Field(gt=0)]),
    (Annotated[float, Field(le=9)], Annotated[float, Field(lt=9)]),
    (Annotated[float, Field(le=9)], Annotated[float, Field(le=8.5)]),
    (Annotated[datetime, Field(gt=_EARLIER)], Annotated[datetime, Field(gt=_LATER)]),
    (Annotated[str, Field(max_length=9)], Annotated[str, Field(max_length=8)]),
    (str, Annotated[str, Field(min_length=1)]),
    (str, Annotated[str, Field(pattern="^a")]),
    (Annotated[int, Field(multiple_of=2)], Annotated[int, Field(multiple_of=4)]),
    ((float, 1.0), float),
]


@pytest.mark.parametrize(("wide", "narrow"), NARROWS)
def test_a_field_that_takes_less_breaks_callers_and_one_that_takes_more_does_not(wide: Any, narrow: Any) -> None:
    assert risks(definition(x=wide), definition(x=narrow)) == ["breaking"]
    reverse = risks(definition(x=narrow), definition(x=wide))
    assert reverse == ["breaking" if (wide, narrow) == (str, bool) else ""]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (int, float),
        (Literal["north", "south"], Shop),
        (Annotated[int, Field(gt=0)], Annotated[int, Field(ge=1)]),
        ((float, 1.0), (float, 2.0)),
    ],
)
def test_what_takes_the_same_rows_in_another_way_breaks_nobody(before: Any, after: Any) -> None:
    assert set(risks(definition(x=before), definition(x=after))) <= {""}


def test_nothing_is_said_of_equal_contracts() -> None:
    assert contract_changes(definition(x=float), definition(x=float), served=True) == []


def test_a_field_that_came_breaks_where_it_is_needed_and_one_that_went_always() -> None:
    one, two, optional = definition(x=float), definition(x=float, y=int), definition(x=float, y=(int | None, None))

    [came], [may], [went] = (contract_changes(*pair, served=True) for pair in ((one, two), (one, optional), (two, one)))
    assert (came.means, came.risk) == ("needed: callers' requests are refused", "breaking")
    assert (may.means, may.risk, may.after) == ("may be left out: compatible", "", "int or null, optional")
    assert (went.means, went.risk) == ("removed: callers' requests are refused", "breaking")


def test_a_field_under_another_name_is_told_as_renamed() -> None:
    before, after = (
        definition(x=float, km=Annotated[float, Field(gt=0)]),
        definition(x=float, miles=Annotated[float, Field(gt=0)]),
    )

    [change] = contract_changes(before, after, served=True)
    assert (change.what, change.before, change.after, change.risk) == ("field km", "km", "miles", "breaking")
    assert change.means.startswith("renamed")


def test_of_two_that_are_alike_none_is_taken_for_renamed() -> None:
    changes = contract_changes(definition(a=float, b=float), definition(c=float), served=True)

    assert [change.means.partition(":")[0] for change in changes] == ["removed", "removed", "needed"]


def test_rows_of_a_source_are_quarantined_and_no_caller_breaks() -> None:
    [change] = contract_changes(definition(x=float), definition(x=Annotated[float, Field(gt=0)]), served=False)

    assert (change.what, change.before, change.after) == ("field x: least", "none", "> 0")
    assert (change.means, change.risk) == ("rows that do not fit are quarantined", "")


def test_another_order_is_told_since_it_makes_another_contract() -> None:
    [change] = contract_changes(definition(a=int, b=int), definition(b=int, a=int), served=True)

    assert (change.what, change.risk) == ("order of fields", "")


def test_what_a_new_validator_refuses_is_unknown_so_it_may_break_and_without_one_nothing_does() -> None:
    plain, judged = definition(x=float), definition(x=Annotated[float, AfterValidator(lambda value: value)])

    assert set(risks(plain, judged)) == {"breaking"}
    assert set(risks(judged, plain)) == {""}
