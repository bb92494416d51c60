"""`POST /v1/models/{name}/predict`: the hot path, from a body to an encoded answer.

Synchronous and on the serving thread: one row takes about as long as handing it to another thread
would. The order of the steps is the order of `PredictHandler.answer`: decode and check by the
contract, choose the version of each row, read and compute features, predict, record, encode.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.assets.model import Model
from perdure.core.clock import monotonic_s
from perdure.core.errors import BadRow, NotReady, not_found
from perdure.engines.contracts import CompiledContract
from perdure.serve.boundary import contained
from perdure.serve.live import Live
from perdure.serve.metrics import Counters
from perdure.serve.online_reader import OnlineReader
from perdure.serve.routing import Arm, Route
from perdure.serve.servable import Scored, Servable, ServingTable
from perdure.serve.taps import Taps
from perdure.stores.capture.events import PredictionRow

log = logging.getLogger("perdure.serve")


class Explanation(msgspec.Struct):
    """Contributions of the features and the base: together they sum to the prediction."""

    base: float
    contributions: dict[str, float]


class Prediction(msgspec.Struct, omit_defaults=True):
    """One row's answer. `status` names the stored views that were not fresh."""

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

    @classmethod
    def of(cls, model: type[Model], contract: CompiledContract) -> ServedModel:
        """From the declaration."""
        return cls(model.name, contract, model.label.key)

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

    def answer(self, ask: Ask) -> Answered:
        """Predict every row of a request and record it.

        Raises:
            NotFound: no such model; the message names the nearest.
            NotReady: no version of it is released, or nothing is loaded yet.
            BadRow: rows break the contract; all errors of all of them, and the rows are recorded.
            BadRequest, TooLarge: the body cannot be read, or has too many rows.
            Refused: an explanation was asked of a model that has none.
        """
        served = self.models.get(ask.model)
        if served is None:
            raise not_found("model", ask.model, self.models)
        serving, route = self._route(ask.model)
        rows = self._rows(served, ask)
        keys = [served.key(row) for row in rows]
        predictions: list[Prediction] = [None] * len(rows)  # type: ignore[list-item]  # each is set below
        taps: list[PredictionRow] = [None] * len(rows)  # type: ignore[list-item]
        for arm, positions in _by_arm(route, keys):
            servable = serving.servables[arm.version]
            mine = rows if len(positions) == len(rows) else [rows[at] for at in positions]
            scored = servable.score(mine, self._online, ask.now_us)
            vectors = _vectors(scored)
            explanations = _explain(servable, scored) if ask.explain else None
            for i, at in enumerate(positions):
                status, value, prediction_id = scored.statuses[i], scored.values[i], self._taps.next_id()
                predictions[at] = Prediction(
                    prediction_id,
                    value,
                    arm.version,
                    arm.name,
                    servable.status_words(status),
                    explanations[i] if explanations else None,
                )
                taps[at] = PredictionRow(
                    prediction_id,
                    keys[at],
                    arm.version,
                    arm.name,
                    served.contract.encode_row(rows[at]),
                    vectors[i],
                    status,
                    value,
                )
        latency_s = monotonic_s() - ask.began_s
        generation = serving.table.generation
        self._taps.predictions(ask.model, taps, served_us=ask.now_us, latency_s=latency_s, generation=generation)
        self._counters.count_rows(ask.model, len(rows), latency_s)
        body = _encode(Answer(ask.model, generation, predictions))
        return Answered(body, self._shadow(serving, route, rows, taps, ask) if route.shadow else None)

    def _route(self, model: str) -> tuple[ServingTable, Route]:
        serving = self._live.serving
        if serving is None:
            raise NotReady("No routing table is loaded yet.", hint="See /readyz for the reason; try again soon.")
        route = serving.table.routes.get(model)
        if route is None:
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
        except BadRow as error:
            request_id = self._taps.rejected(served.name, error.rows, error.errors, served_us=ask.now_us)
            error.facts["request_id"] = request_id
            raise

    def _shadow(
        self,
        serving: ServingTable,
        route: Route,
        rows: Sequence[msgspec.Struct],
        answered: Sequence[PredictionRow],
        ask: Ask,
    ) -> Callable[[], None] | None:
        positions = [at for at, tap in enumerate(answered) if route.shadows(tap.key)]
        arm = route.shadow
        if arm is None or not positions:
            return None
        servable = serving.servables[arm.version]

        def work() -> None:
            began_s = monotonic_s()
            scored = servable.score([rows[at] for at in positions], self._online, ask.now_us)
            vectors = _vectors(scored)
            taps = [
                PredictionRow(
                    self._taps.next_id(),
                    answered[at].key,
                    arm.version,
                    arm.name,
                    answered[at].row,
                    vectors[i],
                    scored.statuses[i],
                    scored.values[i],
                )
                for i, at in enumerate(positions)
            ]
            self._taps.predictions(
                ask.model,
                taps,
                served_us=ask.now_us,
                latency_s=monotonic_s() - began_s,
                generation=serving.table.generation,
            )

        return lambda: contained(work, self._shadow_failed)

    def _shadow_failed(self, error: Exception) -> None:
        self._counters.shadow_errors += 1
        log.warning("A shadow prediction failed; the answer was not touched: %s", error)


def _by_arm(route: Route, keys: Sequence[str]) -> list[tuple[Arm, Sequence[int]]]:
    """Positions of the rows by the arm that answers them."""
    if not route.arms:
        return [(route.champion, range(len(keys)))]
    found: dict[str, tuple[Arm, list[int]]] = {}
    for at, key in enumerate(keys):
        arm = route.choose(key)
        found.setdefault(arm.name, (arm, []))[1].append(at)
    return list(found.values())


def _vectors(scored: Scored) -> list[bytes]:
    """Each row's features as little-endian float32."""
    x = scored.x
    data = x.tobytes()
    if len(x) == 1:
        return [data]
    width = x.shape[1] * 4
    return [data[at : at + width] for at in range(0, len(data), width)]


def _explain(servable: Servable, scored: Scored) -> list[Explanation]:
    contributions, base = servable.predictor.explain(scored.x)
    names = [feature.name for feature in servable.plan.features]
    return [
        Explanation(float(base[at]), dict(zip(names, contributions[at].tolist(), strict=True)))
        for at in range(len(scored.values))
    ]
