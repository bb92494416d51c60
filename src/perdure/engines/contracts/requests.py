"""The body of a request → checked rows: one msgspec decode; Pydantic only when that says no.

Called by serve for every request. A body is `{"rows": [{…}, …]}` or `{"row": {…}}`. One bad row
refuses the request with every error of every row, and with the bad rows themselves to quarantine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from perdure.core.errors import BadRequest, TooLarge
from perdure.engines.contracts.structs import MORE_THAN_MICROSECONDS, Settle
from perdure.engines.contracts.verdict import Judge, RejectedRows

MAX_ROWS = 10_000
"""Rows of one request where the caller sets no other limit."""

_SHAPE = 'Send {"rows": [{…}, …]} or {"row": {…}}.'


class DecodedRequest(NamedTuple):
    """The rows of a request, checked, in their order."""

    rows: list[Any]
    """Instances of the contract's Struct."""
    single: bool
    """It came as `row`: the answer has one prediction, not a list."""


class _RawBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    rows: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    row: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_RAW = msgspec.json.Decoder(_RawBody)


class RequestReader:
    """Reads request bodies of one contract."""

    __slots__ = ("_decode", "_fast", "_judge", "_settle", "_struct")

    def __init__(self, struct: type[msgspec.Struct], settle: Settle, judge: Judge, *, fast: bool) -> None:
        body = msgspec.defstruct(
            "Body",
            [
                ("rows", list[struct] | msgspec.UnsetType, msgspec.UNSET),  # type: ignore[valid-type]
                ("row", struct | msgspec.UnsetType, msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode = msgspec.json.Decoder(body).decode
        self._struct = struct
        self._settle = settle
        self._judge = judge
        self._fast = fast

    def read(self, body: bytes, max_rows: int) -> DecodedRequest:
        """The rows of a body.

        Raises:
            BadRequest: it is not JSON in UTF-8, or not of the shape above.
            TooLarge: more than `max_rows` rows.
            RejectedRows: rows that break the contract.
        """
        return (self._read_fast(body, max_rows) if self._fast else None) or self._read_slow(body, max_rows)

    def _read_fast(self, body: bytes, max_rows: int) -> DecodedRequest | None:
        """The rows when all is well, None when anything is not: the slow path says what."""
        if self._settle.has_instants and MORE_THAN_MICROSECONDS.search(body):
            return None
        settle = self._settle
        try:
            decoded: Any = self._decode(body)
            if decoded.row is not msgspec.UNSET:
                if decoded.rows is msgspec.UNSET and max_rows >= 1 and settle(decoded.row):
                    return DecodedRequest([decoded.row], True)
                return None
            rows = decoded.rows
            if rows is not msgspec.UNSET and 0 < len(rows) <= max_rows and all(map(settle, rows)):
                return DecodedRequest(rows, False)
        except (ValueError, OverflowError, RecursionError):
            # Malformed, not UTF-8, breaking a constraint, an instant before year 1, nested too deep.
            return None
        return None

    def _read_slow(self, body: bytes, max_rows: int) -> DecodedRequest:
        rows, single = _split(body)
        if len(rows) > max_rows:
            raise TooLarge(
                f"The request has {len(rows)} rows; at most {max_rows} are answered at once.",
                hint="Send several requests.",
                n_rows=len(rows),
                max_rows=max_rows,
            )
        good: list[msgspec.Struct] = []
        errors: list[dict[str, Any]] = []
        rejected: list[bytes] = []
        for at, row in enumerate(rows):
            verdict = self._judge(row)
            if verdict.unreadable:
                raise BadRequest(f"Row {at} cannot be read: {verdict.errors[0]['message']}.", hint=_SHAPE)
            if verdict.values is not None:
                good.append(self._struct(**verdict.values))
                continue
            rejected.append(row)
            errors += ({"row": at, **error} for error in verdict.errors)
        if rejected:
            raise _refusal(len(rows), errors, rejected)
        return DecodedRequest(good, single)


def _refusal(n_rows: int, errors: list[dict[str, Any]], rejected: list[bytes]) -> RejectedRows:
    said = f"{len(rejected)} of {n_rows} rows break" if n_rows > 1 else "The row breaks"
    return RejectedRows(
        f"{said} the contract in {len(errors)} place{'s' if len(errors) > 1 else ''}.",
        errors=errors,
        rejected=rejected,
        hint="Mend the fields listed in errors and send the request again.",
    )


def _split(body: bytes) -> tuple[list[bytes], bool]:
    """The raw JSON of each row, and whether it came alone."""
    try:
        str(body, "utf-8")
        decoded = _RAW.decode(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8 at byte {error.start}.", hint="Send JSON in UTF-8.") from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.", hint=_SHAPE) from error
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body has the wrong shape: {error}.", hint=_SHAPE) from error
    except msgspec.DecodeError as error:
        raise BadRequest(
            f"The body is not JSON: {error}.",
            hint="JSON has no NaN and no Infinity: send null for a missing number.",
        ) from error
    if (decoded.row is msgspec.UNSET) == (decoded.rows is msgspec.UNSET):
        raise BadRequest('The body needs exactly one of "row" and "rows".', hint=_SHAPE)
    if decoded.row is not msgspec.UNSET:
        return [bytes(decoded.row)], True
    assert decoded.rows is not msgspec.UNSET
    if not decoded.rows:
        raise BadRequest('"rows" is empty.', hint=_SHAPE)
    return [bytes(row) for row in decoded.rows], False
