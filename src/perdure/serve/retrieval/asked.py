"""What a request asks for, read strictly: an unknown member, a wrong type or a bound that is broken is told, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from perdure.assets.index import Field, Index
from perdure.core.clock import parse_at, to_us
from perdure.core.documents import Between, Scalar, Where
from perdure.core.errors import BadRequest, DeclarationError, TooLarge, nearest
from perdure.engines.retrieval.searching.asking import Fusion, Mode
from perdure.serve.retrieval.finding import Search
from perdure.serve.retrieval.pictured import picture_of

MOST_K = 500
MOST_CHARACTERS = 10_000
"""Of a question. A page that is pasted into a search is no question, and costs a page's time to embed."""
MOST_OTHERS = 8
MOST_WHERE = 32
_KINDS: Mapping[Field, tuple[type, ...]] = {"text": (str,), "number": (int, float), "flag": (bool,)}

Body = TypeVar("Body", bound="SearchBody")
Form = TypeVar("Form", bound=msgspec.Struct)


class SearchBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of a search."""

    query: str = ""
    picture: str = ""
    """By what it is searched, as a data URL: see `pictured`; `query` then finds by words alone."""
    k: int = 10
    mode: Mode = "hybrid"
    where: dict[str, Any] = {}
    groups: list[str] | None = None
    """Of whom it is asked for; only such as the caller's team has."""
    as_of: str | None = None
    fusion: Fusion = "ranks"
    diversity: float = 0.0
    others: list[str] = []
    rewrite: str = ""
    """A route that is asked for other wordings."""
    expand: bool = False
    rerank: bool = False
    """Order what was found anew by the index's reranker."""
    user: str = ""
    """What a sticky share of versions goes by; empty: the caller's key."""


class AnswerBody(SearchBody, forbid_unknown_fields=True, kw_only=True):
    """The body of a question that a model answers from what is found."""

    question: str
    route: str
    k: int = 6
    max_tokens: int | None = None
    temperature: float | None = None
    suspects: bool = False
    """Let a model read texts in which rules see instructions to it, too."""


class PushedBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A document that is pushed as JSON."""

    text: str
    media_type: str = "text/markdown"
    metadata: dict[str, str | int | float | bool] = {}
    readers: list[str] | None = None


def read(body: bytes, form: type[Body]) -> Body:
    """The body of a search or of a question.

    Raises:
        BadRequest: it is no JSON, lacks a member, has one that nobody knows, or one of a wrong type.
        TooLarge: the question is longer than may be.
    """
    found = decoded(body, form)
    if isinstance(found, AnswerBody):
        if found.query:
            raise BadRequest("A question to be answered has no `query`.", hint="Say what is asked as `question`.")
        if found.picture:
            raise BadRequest("A model answers from words.", hint="Ask without `picture`, or search by it.")
        found.query = found.question
    if not (found.query.strip() or found.picture):
        raise BadRequest("Nothing is asked.", hint="Say what is searched as `query`, or as `picture`.")
    if found.picture:
        _check_pictured(found)
    for text in (found.query, *found.others):
        if len(text) > MOST_CHARACTERS:
            raise TooLarge(
                f"A question of {len(text):,} characters; {MOST_CHARACTERS:,} are allowed.",
                hint="Ask for what is to be found in it.",
                n_characters=len(text),
            )
    _check_bounds(found)
    return found


def decoded(body: bytes, form: type[Form]) -> Form:
    """A body as its struct.

    Raises:
        BadRequest: it is none.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        known = ", ".join(form.__struct_fields__)
        raise BadRequest(f"The body cannot be read: {why}", hint=f"Send a JSON object with {known}.") from error


def search_of(body: SearchBody, index: Index, allowed: list[str] | tuple[str, ...] | None) -> Search:
    """The search that a body asks for, of an index, for whoever has these groups. Cost: 2 ms a megabyte of a picture.

    Args:
        body: as `read` gives it.
        index: as the version that answers has it.
        allowed: groups of the caller's team; None: all.

    Raises:
        BadRequest: the instant is none, or lies where sections are not known.
        BadIndex: the filter is of what is no field, or of another kind.
        TooLarge, UnsupportedMedia: the picture is none that may be sent.
    """
    groups = allowed if body.groups is None else body.groups
    if body.groups is not None and allowed is not None:
        groups = [each for each in body.groups if each in allowed]
    as_of_us = _instant(body.as_of)
    if as_of_us and body.expand:
        raise BadRequest(
            "Sections are known of now alone, not as of a past instant.", hint="Leave out `expand` or `as_of`."
        )
    return Search(
        body.query,
        body.k,
        body.mode,
        where_of(body.where, index),
        groups,
        as_of_us,
        body.fusion,
        body.diversity,
        tuple(body.others),
        body.expand,
        body.rerank,
        picture_of(body.picture) if body.picture else None,
    )


def where_of(told: Mapping[str, Any], index: Index) -> Where:
    """A filter as JSON has it: a value, a list of values, or `{"least": …, "most": …}` for each field.

    Raises:
        BadRequest: it asks for no field of the index, or for what the field cannot be.
    """
    if len(told) > MOST_WHERE:
        raise BadRequest(f"A filter of {len(told)} members; {MOST_WHERE} are allowed.", hint="Ask for fewer.")
    return {name: _wanted(name, value, index) for name, value in told.items()}


def _wanted(name: str, value: Any, index: Index) -> Scalar | list[Scalar] | Between:
    kind = index.fields.get(name)
    if kind is None:
        near = nearest(name, index.fields)
        known = f"It has {', '.join(index.fields) or 'none'}; declare others as `fields` of the index."
        raise BadRequest(
            f"Index {index.name!r} has no field {name!r} to filter by.",
            hint=f"Did you mean {near!r}?" if near else known,
        )
    if isinstance(value, dict):
        unknown = value.keys() - {"least", "most"}
        if unknown or not value:
            raise BadRequest(f"A range of {name!r} has {sorted(unknown)}.", hint='Write {"least": …, "most": …}.')
        ends = {end: None if one is None else _scalar(name, one, kind) for end, one in value.items()}
        return Between(ends.get("least"), ends.get("most"))
    if isinstance(value, list):
        return [_scalar(name, one, kind) for one in value]
    found: Scalar = _scalar(name, value, kind)
    return found


def _scalar(name: str, value: Any, kind: Field) -> Any:
    if not isinstance(value, _KINDS[kind]) or (kind == "number" and isinstance(value, bool)):
        raise BadRequest(
            f"The field {name!r} is a {kind}, and the filter has {value!r}"[:300] + ".",
            hint="Filter a text by texts, a number by numbers, a flag by true or false.",
        )
    return value


def _check_bounds(body: SearchBody) -> None:
    if not 1 <= body.k <= MOST_K:
        raise BadRequest(f"k is {body.k}.", hint=f"Ask for 1 to {MOST_K} chunks.")
    if not 0.0 <= body.diversity <= 1.0:
        raise BadRequest(f"diversity is {body.diversity!r}.", hint="Use 0 (the best) to 1 (the least alike).")
    if len(body.others) > MOST_OTHERS:
        raise BadRequest(f"{len(body.others)} other wordings.", hint=f"Send {MOST_OTHERS} at most.")


def _check_pictured(body: SearchBody) -> None:
    """See that a picture is what is searched by, and that words beside it mean something."""
    if body.mode == "lexical":
        raise BadRequest("A picture has no words.", hint="Search by mode dense or hybrid.")
    if body.query.strip() and body.mode == "dense":
        raise BadRequest("By vectors alone words beside a picture find nothing.", hint="Search by mode hybrid.")
    if not body.query.strip() and (body.rewrite or body.rerank):
        raise BadRequest("Only words are reworded and reranked.", hint="Say `query` beside the picture.")


def _instant(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return max(1, to_us(parse_at(text[:64])))
    except DeclarationError as error:
        raise BadRequest(f"as_of cannot be read: {error.message}", hint=error.hint) from error
