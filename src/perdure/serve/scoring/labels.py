"""`POST /v1/labels`: the truth, by prediction id or by key, some time after the prediction.

    {"model": "air_time", "labels": [{"key": "AA1-2013-03-01", "value": 227.0, "known_at": "2013-03-01T15:02:00Z"}]}

A label is acknowledged when it is in the capture log, and refused with 503 when it cannot be written:
its sender is the only other place that has it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import msgspec

from perdure.core.clock import parse_at, to_us
from perdure.core.errors import BadRequest, BadRow, DeclarationError, StoreFull, TooLarge, not_found
from perdure.serve.scoring.predict import key_text
from perdure.serve.taps import Taps
from perdure.stores.capture.events import LabelRow


class PostedLabel(msgspec.Struct, forbid_unknown_fields=True):
    """One label as it is posted; exactly one of `prediction_id` and `key` is given."""

    value: float | bool
    prediction_id: str = ""
    key: str | int | None = None
    known_at: str = ""


class PostedLabels(msgspec.Struct, forbid_unknown_fields=True):
    """The body; the labels are decoded one by one, so that each can tell its own error."""

    model: str
    labels: list[msgspec.Raw]


_decode_body = msgspec.json.Decoder(PostedLabels).decode
_decode_label = msgspec.json.Decoder(PostedLabel).decode


class LabelHandler:
    """Takes labels to the capture log."""

    def __init__(self, models: Collection[str], taps: Taps, max_rows: int) -> None:
        self._models = models
        self._taps = taps
        self._max_rows = max_rows

    def accept(self, body: bytes, now_us: int) -> int:
        """Record every label of a body; returns how many. All or none.

        Raises:
            BadRequest: the body is not JSON.
            BadRow: labels that mean nothing, with the errors of all of them.
            NotFound: no such model; the message names the nearest.
            TooLarge: more labels than a request may have.
            StoreFull: the log could not take them; send them again.
        """
        posted = _read(body)
        if posted.model not in self._models:
            raise not_found("model", posted.model, self._models)
        n_labels = len(posted.labels)
        if n_labels > self._max_rows:
            raise TooLarge(
                f"The request has {n_labels} labels; {self._max_rows} are allowed.",
                hint="Send them in several requests, or raise [serve] max_rows.",
            )
        rows = _checked(posted.labels, now_us)
        if rows and not self._taps.labels(posted.model, rows, received_us=now_us):
            raise StoreFull("The labels could not be recorded.", hint="Free disk space, then send them again.")
        return len(rows)


def _read(body: bytes) -> PostedLabels:
    try:
        return _decode_body(body)
    except msgspec.ValidationError as error:
        raise DeclarationError(
            f"The body is not a list of labels: {error}.",
            hint='Send {"model": name, "labels": [{"prediction_id": id, "value": number}, …]}.',
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON in UTF-8: {error}.") from error


def _checked(labels: list[msgspec.Raw], now_us: int) -> list[LabelRow]:
    rows: list[LabelRow] = []
    errors: list[dict[str, Any]] = []
    for at, raw in enumerate(labels):
        try:
            rows.append(_label_row(raw, now_us))
        except (msgspec.DecodeError, UnicodeDecodeError, DeclarationError, RecursionError) as error:
            text = error.message if isinstance(error, DeclarationError) else str(error)
            errors.append({"row": at, "field": _field_of(text), "message": text, "type": "label"})
    if errors:
        raise BadRow(
            f"{len({error['row'] for error in errors})} of {len(labels)} labels cannot be read; none was recorded.",
            errors=errors,
            hint="Each label has a finite value, and either a prediction_id or a key.",
        )
    return rows


def _label_row(raw: msgspec.Raw, now_us: int) -> LabelRow:
    label = _decode_label(raw)
    if bool(label.prediction_id) == (label.key is not None):
        raise DeclarationError("A label needs exactly one of `$.prediction_id` and `$.key`.")
    if not math.isfinite(label.value):
        raise DeclarationError(f"`$.value` is {label.value!r}, but it must be finite.")
    known_us = to_us(parse_at(label.known_at)) if label.known_at else now_us
    return LabelRow(label.prediction_id, key_text(label.key), float(label.value), known_us)


def _field_of(message: str) -> str:
    """The field that a message names as `$.field`; empty when it is about the whole label."""
    _, found, rest = message.partition("`$.")
    return rest.partition("`")[0] if found else ""
