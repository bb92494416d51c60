"""`POST /v1/models/{name}/predict`: the hot path, from a body to an encoded answer.

Synchronous and on the serving thread: one row takes about as long as handing it to another thread
would. The order of the steps is the order of `PredictHandler.answer`: decode and check by the
contract, choose the version of each row, read and compute features, predict, record, encode.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import NotReady, not_found
from perdure.engines.contracts import CompiledContract
from perdure.engines.contracts.verdict import RejectedRows
from perdure.serve.boundary import contained
from perdure.serve.live import Live
from perdure.serve.metrics import Counters
from perdure.serve.online_reader import OnlineReader
from perdure.serve.routing import Arm, Route, ServingTable
from perdure.serve.servable import Explanation, Scored, Servable
from perdure.serve.taps import Taps
from perdure.stores.capture.events import PredictionRow

log = logging.getLogger("perdure.serve")


class Prediction(msgspec.Struct, omit_defaults=True):
    """One row's answer. `status` names the stored views that were not fresh, and what stood in for them."""

    id: str
    value: float
    version: str
    arm: str
    status: dict[str, str] | None = None
    explanation: Explanation | None = None


class Answer(msgspec.Struct):
    """The body of an answer; predictions in the order of the request's rows."""

    model: str
    generation: int
    predictions: list[Prediction]


_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Ask:
    """One predict request, as it came. `began_s` is on the monotonic clock, `now_us` is domain time."""

    model: str
    body: bytes
    now_us: int
    explain: bool
    began_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The encoded answer, and the work of the shadow that is still to do, if there is one."""

    body: bytes
    shadow: Callable[[], None] | None


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A declared model with its compiled contract."""

    name: str
    contract: CompiledContract
    key_field: str

    def key(self, row: msgspec.Struct) -> str:
        """The row's key as text: labels join by it, and shares are sticky by it."""
        value = getattr(row, self.key_field)
        return value if type(value) is str else key_text(value)


def key_text(value: Any) -> str:
    """A key as text, the same in captures, in posted labels and in label sources; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Checked rows of one request with their keys, and the table that answers them."""

    served: ServedModel
    serving: ServingTable
    rows: Sequence[msgspec.Struct]
    keys: Sequence[str]
    ask: Ask

    def part(self, positions: Sequence[int]) -> _Batch:
        """Some of the rows."""
        return replace(self, rows=[self.rows[at] for at in positions], keys=[self.keys[at] for at in positions])


class _Row(NamedTuple):
    """One predicted row: what is recorded of it, and by what it was predicted."""

    tap: PredictionRow
    servable: Servable
    explanation: Explanation | None

    def prediction(self) -> Prediction:
        """Its part of the answer."""
        tap = self.tap
        status = self.servable.status_words(tap.status)
        return Prediction(tap.id, tap.prediction, tap.version, tap.arm, status, self.explanation)


class PredictHandler:
    """Answers predict requests from the table in force."""

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        live: Live,
        online: OnlineReader,
        taps: Taps,
        counters: Counters,
        max_rows: int,
    ) -> None:
        self.models = models
        self._live = live
        self._online = online
        self._taps = taps
        self._counters = counters
        self._max_rows = max_rows

    def beside(self, live: Live, taps: Taps) -> PredictHandler:
        """The same models by another table in force, recorded elsewhere and counted nowhere."""
        return PredictHandler(self.models, live, self._online, taps, Counters(), self._max_rows)

    def answer(self, ask: Ask) -> Answered:
        """Predict every row of a request and record it.

        Raises:
            NotFound: no such model; the message names the nearest.
            NotReady: no version of it is released, or nothing is loaded yet.
            RejectedRows: rows break the contract; all errors of all of them, and the rows are recorded.
            BadRequest, TooLarge: the body cannot be read, or has too many rows.
            Refused: an explanation was asked of a model that has none.
        """
        served = self.models.get(ask.model)
        if served is None:
            raise not_found("model", ask.model, self.models)
        serving, route = self._route(ask.model)
        rows = self._rows(served, ask)
        keys = [served.key(row) for row in rows]
        generation = serving.table.generation
        answered = self._answer_rows(_Batch(served, serving, rows, keys, ask), route)
        latency_s = monotonic_s() - ask.began_s
        taps = [row.tap for row in answered]
        self._taps.predictions(ask.model, taps, served_us=ask.now_us, latency_s=latency_s, generation=generation)
        self._counters.count_rows(ask.model, len(rows), latency_s)
        predictions = [row.prediction() for row in answered]
        self._counters.count_views(ask.model, [each.status for each in predictions if each.status is not None])
        body = _encode(Answer(ask.model, generation, predictions))
        shadow = self._shadow(_Batch(served, serving, rows, keys, ask), route) if route.shadow else None
        return Answered(body, shadow)

    def _answer_rows(self, batch: _Batch, route: Route) -> list[_Row]:
        """Every row by the arm that its key falls to, in the order of the request."""
        if not route.arms:
            return self._predict(batch, route.champion)
        by_arm: dict[Arm, list[int]] = {}
        for at, key in enumerate(batch.keys):
            by_arm.setdefault(route.choose(key), []).append(at)
        placed: dict[int, _Row] = {}
        for arm, positions in by_arm.items():
            placed.update(zip(positions, self._predict(batch.part(positions), arm), strict=True))
        return [placed[at] for at in range(len(batch.keys))]

    def _predict(self, batch: _Batch, arm: Arm) -> list[_Row]:
        """The rows of one arm, each with what is recorded of it."""
        servable: Servable = batch.serving.servables[arm.version]
        scored = servable.score(batch.rows, self._online, batch.ask.now_us)
        vectors = _vectors(scored)
        explanations = servable.explain(scored.x) if batch.ask.explain else None
        encode_row, next_id = batch.served.contract.encode_row, self._taps.next_id
        return [
            _Row(
                PredictionRow(
                    next_id(),
                    batch.keys[at],
                    arm.version,
                    arm.name,
                    encode_row(row),
                    vectors[at],
                    scored.statuses[at],
                    scored.values[at],
                ),
                servable,
                explanations[at] if explanations else None,
            )
            for at, row in enumerate(batch.rows)
        ]

    def prepare_explaining(self, model: str) -> None:
        """Load the native form of every version of a model, which explains; for any thread, slow the first time."""
        serving = self._live.serving
        if serving is not None and model in serving.table.routes:
            for arm in serving.table.routes[model].every_arm():
                serving.servables[arm.version].predictor.native()

    def _route(self, model: str) -> tuple[ServingTable, Route]:
        serving = self._live.serving
        if serving is None:
            raise NotReady("No routing table is loaded yet.", hint="See /readyz for the reason; try again soon.")
        route = serving.table.routes.get(model)
        if route is None:
            why = self._live.status.left_out.get(model)
            if why is not None:
                raise NotReady(why["message"], hint=why["hint"], delay_s=5.0, model=model)
            raise NotReady(
                f"Model {model!r} has no released version.",
                hint=f"Train and release one: perdure train {model}, then perdure apply.",
                delay_s=5.0,
                model=model,
            )
        return serving, route

    def _rows(self, served: ServedModel, ask: Ask) -> Sequence[msgspec.Struct]:
        try:
            return served.contract.decode_request(ask.body, max_rows=self._max_rows).rows
        except RejectedRows as error:
            request_id = self._taps.rejected(served.name, error.rejected, error.errors, served_us=ask.now_us)
            error.facts["request_id"] = request_id
            raise

    def _shadow(self, batch: _Batch, route: Route) -> Callable[[], None] | None:
        """What the shadow still has to do with a request that is answered."""
        positions = [at for at, key in enumerate(batch.keys) if route.shadows(key)]
        if route.shadow is None or not positions:
            return None
        # Nobody reads a shadow's explanation.
        seen = replace(batch.part(positions), ask=replace(batch.ask, explain=False))

        def work(arm: Arm) -> None:
            began_s = monotonic_s()
            taps = [row.tap for row in self._predict(seen, arm)]
            ask, generation = seen.ask, seen.serving.table.generation
            latency_s = monotonic_s() - began_s
            self._taps.predictions(ask.model, taps, served_us=ask.now_us, latency_s=latency_s, generation=generation)

        return partial(contained, partial(work, route.shadow), self._shadow_failed)

    def _shadow_failed(self, error: Exception) -> None:
        self._counters.shadow_errors += 1
        log.warning("A shadow prediction failed; the answer was not touched: %s", error)


def _vectors(scored: Scored) -> list[bytes]:
    """Each row's features as little-endian float32."""
    x = scored.x
    data = x.tobytes()
    if len(x) == 1:
        return [data]
    width = x.shape[1] * 4
    return [data[at : at + width] for at in range(0, len(data), width)]
