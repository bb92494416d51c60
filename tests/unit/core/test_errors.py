"""The error tree: every leaf is documented, mapped and readable."""

from __future__ import annotations

import copy
import pickle

import pytest

from perdure.core import errors
from perdure.core.errors import (
    BadRow,
    DeclarationError,
    LimitReached,
    LostLease,
    MissingExtra,
    NotFound,
    NotReady,
    PerdureError,
    Permanent,
    Refused,
    StoreError,
    Temporary,
    UpstreamError,
    nearest,
    not_found,
)

FAMILIES = (DeclarationError, LimitReached, NotFound, NotReady, Refused, StoreError, UpstreamError, MissingExtra)


def tree(root: type[PerdureError] = PerdureError) -> list[type[PerdureError]]:
    """Every error class of the module under `root`."""
    found = [kind for kind in root.__subclasses__() if kind.__module__ == errors.__name__]
    return found + [leaf for kind in found for leaf in tree(kind)]


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_belongs_to_one_family_with_a_status_and_an_exit_code(kind: type[PerdureError]) -> None:
    assert sum(issubclass(kind, family) for family in FAMILIES) == 1
    assert 400 <= kind.status < 600
    assert 2 <= kind.exit_code <= 8


def made(kind: type[PerdureError]) -> PerdureError:
    """One with all that it can have."""
    if kind is MissingExtra:
        return MissingExtra("onnx", needed_for="Serving")
    if kind is BadRow:
        return BadRow("It broke.", errors=[{"row": 1}], hint="Mend it.", table="t")
    more = {"delay_s": 7.5} if issubclass(kind, NotReady) else {}
    return kind("It broke.", hint="Mend it.", name="x", args=[1], **more)


@pytest.mark.parametrize("kind", [PerdureError, *tree()], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("through", [lambda error: pickle.loads(pickle.dumps(error)), copy.deepcopy])
def test_every_error_goes_between_processes_as_it_is(kind: type[PerdureError], through) -> None:
    """A pool hands on what a worker raised, whatever its constructor takes."""
    error = made(kind)
    error.add_note("in a worker")
    again = through(error)

    assert type(again) is kind
    assert (str(again), again.args, again.as_dict()) == (str(error), error.args, error.as_dict())
    assert again.__dict__ == error.__dict__
    assert getattr(again, "msg", None) == getattr(error, "msg", None), "what the builtin beside it has"


def test_an_error_that_was_changed_goes_as_it_is_now() -> None:
    error = NotFound("There is none.")
    error.message, error.facts["more"] = "There is none left.", 1

    again = pickle.loads(pickle.dumps(error))

    assert (again.message, again.facts) == ("There is none left.", {"more": 1})


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in tree()]

    assert len(codes) == len(set(codes))


def test_the_tree_at_the_top_of_the_module_names_every_error() -> None:
    assert [kind.__name__ for kind in tree() if kind.__name__ not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (DeclarationError, ValueError),
        (NotFound, LookupError),
        (Refused, PermissionError),
        (StoreError, OSError),
        (UpstreamError, ConnectionError),
        (MissingExtra, ImportError),
    ],
)
def test_a_family_can_be_caught_as_the_builtin_it_resembles(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_the_loop_never_reads_an_error_as_both_temporary_and_permanent(kind: type[PerdureError]) -> None:
    assert not (issubclass(kind, Temporary) and issubclass(kind, Permanent))


def test_an_error_reads_as_its_message_and_its_hint() -> None:
    error = PerdureError("The lake has no table 'x'.", hint="Run perdure tick.", table="x")

    assert str(error) == "The lake has no table 'x'. Run perdure tick."
    assert error.as_dict() == {
        "code": "perdure",
        "message": "The lake has no table 'x'.",
        "hint": "Run perdure tick.",
        "facts": {"table": "x"},
    }


def test_an_error_without_a_hint_reads_as_its_message() -> None:
    assert str(PerdureError("It broke.")) == "It broke."


def test_a_store_error_keeps_its_message_although_it_is_an_os_error() -> None:
    assert str(StoreError("The disk is gone.", hint="Mount it.")) == "The disk is gone. Mount it."


def test_bad_rows_carry_every_error_of_every_row() -> None:
    found = [{"row": 0, "field": "origin"}, {"row": 3, "field": "distance_mi"}]

    error = BadRow("2 rows break Flight.", errors=found)

    assert error.errors == found
    assert error.as_dict()["facts"]["errors"] == found


def test_a_lost_lease_says_when_to_come_back() -> None:
    error = LostLease("The lease 'loop' went to worker-2.", delay_s=7.5)

    assert isinstance(error, Temporary)
    assert error.delay_s == 7.5
    assert error.status == 503


def test_a_missing_extra_names_the_pip_command() -> None:
    assert "pip install 'perdure[redis]'" in str(MissingExtra("redis", needed_for="The online store on Redis"))


def test_nothing_is_near_a_name_that_resembles_none() -> None:
    assert nearest("zzz", ["air_time", "fares"]) is None


def test_a_name_is_compared_with_no_more_than_a_second_allows() -> None:
    """Of 50,000 runs the nearest took a second of a processor, whoever asked for one that there is not."""
    names = [f"run_{number:05}" for number in range(2_001)]
    assert nearest("run_0001", names[:2_000]) is not None
    assert nearest("run_0001", names) is None


def test_an_unknown_name_without_a_near_one_lists_a_few_known_ones() -> None:
    error = not_found("model", "zzz", [f"m{number}" for number in range(12)])

    assert error.hint.startswith("Known: m0, m1, m10")
    assert error.hint.endswith("….")


def test_an_unknown_name_among_none_says_that_nothing_is_declared() -> None:
    assert not_found("model", "x", []).hint == "No model is declared yet."
