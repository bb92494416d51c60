"""One posted label: read, and judged by the contract of the source that brings the model's labels.

`labels` calls it for each label of a body. What is wrong with a label is told whole, not only the
first fault. Values are judged by Pydantic itself, with the field's own validators, and a little more
leniently than in a file: JSON has one kind of number, so `3.0` is an int, `1` a truth, and a classifier
takes `true` for 1.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from pydantic_core import SchemaValidator, ValidationError

from perdure.assets.core_schema import model_fields
from perdure.assets.fields import contract_fields
from perdure.assets.model import Model
from perdure.core.clock import parse_at, to_us
from perdure.core.errors import DeclarationError
from perdure.serve.boundary import contained
from perdure.serve.scoring.predict import key_text
from perdure.stores.capture.events import LabelRow

Fault = dict[str, Any]
"""`field` (empty: the whole label), `message` and `type`, as in the errors of a bad row."""


class PostedLabel(msgspec.Struct, forbid_unknown_fields=True):
    """One label as it is posted; exactly one of `prediction_id` and `key` is given."""

    value: float | bool
    prediction_id: str | None = None
    key: str | int | None = None
    known_at: str | None = None


_FIELDS = {field.name: field.type for field in msgspec.structs.fields(PostedLabel)}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decode_label = msgspec.json.Decoder(PostedLabel).decode
_decode_any = msgspec.json.Decoder().decode


class LabelReader:
    """Reads the labels that are posted for one model."""

    __slots__ = ("_classifies", "_judge", "_source", "_type")

    def __init__(self, model: type[Model]) -> None:
        contract, column = model.label.source.contract, model.label.column
        self._source = f"{contract.__name__}.{column}"
        self._classifies = model.task == "classification"
        self._type = next(spec.type for spec in contract_fields(contract) if spec.name == column)
        schema: Any = model_fields(contract)[column]["schema"]
        self._judge = SchemaValidator(schema, {"strict": True}).validate_python

    def read(self, raw: msgspec.Raw, now_us: int) -> LabelRow | list[Fault]:
        """The label, known now by default, or everything that is wrong with it. Cost: about 3 µs."""
        label, faults = _decoded(raw)
        if label is None:
            return faults
        broken = {fault["field"] for fault in faults}
        if not broken & {"prediction_id", "key"}:
            faults += _faults_of_keys(label)
        if "value" not in broken:
            faults += self._faults_of_value(label.value)
        known_us = now_us
        if label.known_at is not None:
            try:
                known_us = to_us(parse_at(label.known_at, zone_required=True))
            except DeclarationError as error:
                faults.append(_fault("known_at", f"`$.known_at`: {error}"))
        if faults:
            return faults
        return LabelRow(label.prediction_id or "", key_text(label.key), float(label.value), known_us)

    def _faults_of_value(self, value: float | bool) -> list[Fault]:
        if not math.isfinite(value):
            return [_fault("value", f"`$.value` is {value!r}, but it must be finite.")]
        if self._type not in ("float", "int", "bool"):
            return []  # a label in words has no rules for the number that is posted for it
        # A validator that fails in a way of its own wanted the rest of a row, which a label does not have.
        return contained(lambda: self._verdict(value), lambda _: [])

    def _verdict(self, value: float | bool) -> list[Fault]:
        try:
            self._judge(self._as_declared(value))
        except ValidationError as error:
            return [
                _fault("value", f"`$.value` is {value!r}, but {self._source} says: {each['msg']}.", each["type"])
                for each in error.errors(include_url=False, include_context=False)
            ]
        return []

    def _as_declared(self, value: float | bool) -> float | bool:
        """The value in the type of the field, where nothing is lost by it."""
        if self._type == "bool":
            return bool(value) if value in (0, 1) else value
        if isinstance(value, bool):
            return int(value) if self._classifies else value
        return int(value) if self._type == "int" and value.is_integer() else value


def _decoded(raw: msgspec.Raw) -> tuple[PostedLabel | None, list[Fault]]:
    """The label without its unreadable fields, and their faults; None when it is no object at all."""
    try:
        return _decode_label(raw), []
    except _UNREADABLE as error:
        told = str(error)
    try:
        posted = _decode_any(raw)
    except _UNREADABLE:
        return None, [_fault(_field_of(told), told)]
    if not isinstance(posted, dict):
        return None, [_fault("", told)]
    good: dict[str, Any] = {}
    faults = [] if "value" in posted else [_fault("value", "Object missing required field `value`")]
    for name, value in posted.items():
        if name not in _FIELDS:
            faults.append(_fault(name, f"Object contains unknown field `{name}`"))
            continue
        try:
            good[name] = msgspec.convert(value, _FIELDS[name])
        except msgspec.ValidationError as error:
            faults.append(_fault(name, f"{error} - at `$.{name}`"))
    return PostedLabel(**{"value": 0.0, **good}), faults


def _faults_of_keys(label: PostedLabel) -> list[Fault]:
    if (label.prediction_id is None) == (label.key is None):
        return [_fault("prediction_id", "A label needs exactly one of `$.prediction_id` and `$.key`.")]
    for name in ("prediction_id", "key"):
        if getattr(label, name) == "":
            return [_fault(name, f"`$.{name}` is empty: no prediction could ever be found by it.")]
    return []


def _fault(field: str, message: str, kind: str = "") -> Fault:
    return {"field": field, "message": message, "type": f"label.{kind}" if kind else "label"}


def _field_of(message: str) -> str:
    """The field that a message names as `$.field`; empty when it is about the whole label."""
    _, found, rest = message.partition("`$.")
    return rest.partition("`")[0] if found else ""
