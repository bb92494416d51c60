"""`POST /v1/labels`: the truth, by prediction id or by key, some time after the prediction.

    {"model": "air_time", "labels": [{"key": "AA1-2013-03-01", "value": 227.0, "known_at": "2013-03-01T15:02:00Z"}]}

Labels are acknowledged when they are in the capture log, and refused with 503 when they cannot be
written: their sender is the only other place that has them. When one label of a request is bad, none of
it counts: the sender learns every fault of every label, mends them and sends all again. The bad ones
are kept in quarantine as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.assets.model import Model
from perdure.core.errors import BadRequest, BadRow, DeclarationError, StoreFull, TooLarge, not_found
from perdure.serve.scoring.posted import LabelReader
from perdure.serve.taps import Taps
from perdure.stores.capture.events import LabelRow


class PostedLabels(msgspec.Struct, forbid_unknown_fields=True):
    """The body; the labels are decoded one by one, so that each can tell its own error."""

    model: str
    labels: list[msgspec.Raw]


_decode_body = msgspec.json.Decoder(PostedLabels).decode


class LabelHandler:
    """Takes labels to the capture log."""

    def __init__(self, models: Mapping[str, type[Model]], taps: Taps, max_rows: int) -> None:
        self._readers = {name: LabelReader(model) for name, model in models.items()}
        self._taps = taps
        self._max_rows = max_rows

    def accept(self, body: bytes, now_us: int) -> int:
        """Record every label of a body; returns how many. All or none.

        Raises:
            BadRequest: the body is not JSON.
            BadRow: labels that mean nothing or break their contract, with every error of each.
            NotFound: no such model; the message names the nearest.
            TooLarge: more labels than a request may have.
            StoreFull: the log could not take them; send them again.
        """
        posted = _read(body)
        if posted.model not in self._readers:
            raise not_found("model", posted.model, self._readers)
        n_labels = len(posted.labels)
        if n_labels > self._max_rows:
            raise TooLarge(
                f"The request has {n_labels} labels; {self._max_rows} are allowed.",
                hint="Send them in several requests, or raise [serve] max_rows.",
            )
        rows = self._checked(posted, now_us)
        if rows and not self._taps.labels(posted.model, rows, received_us=now_us):
            raise StoreFull("The labels could not be recorded.", hint="Free disk space, then send them again.")
        return len(rows)

    def _checked(self, posted: PostedLabels, now_us: int) -> list[LabelRow]:
        read = self._readers[posted.model].read
        rows: list[LabelRow] = []
        refused: list[bytes] = []
        errors: list[dict[str, Any]] = []
        for at, raw in enumerate(posted.labels):
            found = read(raw, now_us)
            if isinstance(found, LabelRow):
                rows.append(found)
            else:
                refused.append(bytes(raw))
                errors += [{"row": at, **fault} for fault in found]
        if refused:
            request_id = self._taps.rejected(posted.model, refused, errors, served_us=now_us)
            raise BadRow(
                f"{len(refused)} of {len(posted.labels)} labels are refused, so none was recorded.",
                errors=errors,
                hint="Mend them, or leave them out, and send all again: facts.errors says what is wrong with each.",
                request_id=request_id,
            )
        return rows


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
