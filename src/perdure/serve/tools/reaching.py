"""What a run reaches within this process: models through the gateway, indexes, models of the project, views, runs below it.

One `Reaching` a process implements `serve.runs.protocols.World`. Whatever it does is done as the caller of the run may: his key, limits,
budgets and guards hold for each chat, his groups for each search. Called on the serving loop by drivers and tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from perdure.assets.feature_view import FeatureView
from perdure.core.clock import from_us, iso, machine_us, monotonic_s
from perdure.core.errors import BadRequest, NotReady, Refused, not_found
from perdure.core.runs import RunRecord
from perdure.engines.features import EXPIRED, FRESH, MISSING, NOT_YET, STATUS_WORDS, PlannedView
from perdure.engines.retrieval.searching.asking import Mode
from perdure.serve.boundary import contained
from perdure.serve.live import Live
from perdure.serve.online_reader import OnlineReader
from perdure.serve.retrieval.asked import MOST_CHARACTERS, SearchBody
from perdure.serve.retrieval.callers import Caller, allowed
from perdure.serve.retrieval.searching import Searching
from perdure.serve.retrieval.told import told_found
from perdure.serve.runs.protocols import ChatSaid
from perdure.serve.scoring.predict import Ask, PredictHandler
from perdure.serve.servable import Servable
from perdure.serve.tools.talking import Asgi, Asking, ask, stream
from perdure.stores.ledger.protocols import Key
from perdure.stores.online.protocols import OnlineRow

Json = dict[str, Any]
Child = Callable[[str, str, Json, RunRecord, str], Awaitable[RunRecord]]
_MODES: Mapping[str, Mode] = {"hybrid": "hybrid", "dense": "dense", "words": "lexical", "lexical": "lexical"}


@dataclass(slots=True, eq=False)
class Reaching:
    """A run's way to what this process serves; parts that a project does not declare are None or empty.

    Args:
        live: the table in force.
        gateway: its ASGI application.
        searching: of the declared indexes.
        indexes: their names.
        predicting: answers predictions.
        online: stored features.
        views: declared feature views by name.
        begin_child: begins and drives a run below a run; the runtime's.
        replay: time goes by the runs' own requests.
        as_of: index → instant as of which it is searched, for replays.
    """

    live: Live
    gateway: Asgi | None = None
    searching: Searching | None = None
    indexes: Sequence[str] = ()
    predicting: PredictHandler | None = None
    online: OnlineReader | None = None
    views: Mapping[str, FeatureView] = field(default_factory=dict)
    begin_child: Child | None = None
    replay: bool = False
    as_of: Mapping[str, str] = field(default_factory=dict)

    async def chat(self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]) -> ChatSaid:
        """Ask a route or `prompt:NAME` through the gateway.

        Raises:
            PerdureError: as the gateway said it: limits, budgets, guards, upstreams.
        """
        gateway, asking = self._asking(body, caller, run, tags)
        return await ask(gateway, asking)

    def stream(
        self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]
    ) -> AsyncIterator[str | ChatSaid]:
        """The same in pieces of text as they come; the whole last."""
        gateway, asking = self._asking(body, caller, run, tags)
        return stream(gateway, asking)

    async def search(self, index: str, query: str, k: int, mode: str, caller: Caller, run: RunRecord) -> Json:
        """As `/v1/indexes/NAME/search` answers: nothing that the caller's groups may not find. `age_s`: since its source was last seen.

        Raises:
            NotFound: there is no such index that he may ask.
            PerdureError: it cannot be searched now, or not by this question.
        """
        searching = self.searching
        if searching is None:
            raise NotReady("This process serves no index.", hint="Declare one, and perdure apply.")
        name = allowed(index, list(self.indexes), caller)
        if not query.strip() or len(query) > MOST_CHARACTERS:
            raise BadRequest("A question of no characters, or of too many.", hint=f"Ask in 1 to {MOST_CHARACTERS:,}.")
        if mode not in _MODES:
            raise BadRequest(f"An index is not searched by {mode!r}.", hint="Use hybrid, dense or words.")
        asked = SearchBody(query=query, k=k, mode=_MODES[mode], as_of=self.as_of.get(name), user=run.user)
        now_us = self._now_us(run)
        answered = await searching.search(name, asked, caller, now_us)
        found = told_found(answered.served, answered.search, answered.found, answered.id)
        seen_us = answered.found.generation.seen_us
        return {**found, "age_s": max(0, now_us - seen_us) // 1_000_000 if seen_us else None}

    async def predict(self, model: str, rows: Sequence[Json], explain: bool, run: RunRecord) -> Json:
        """As `/v1/models/NAME/predict` answers; recorded like any prediction.

        Raises:
            RejectedRows: rows break the contract.
            PerdureError: there is no such model, or it cannot answer now.
        """
        handler = self.predicting
        if handler is None:
            raise not_found("model", model, ())
        if explain:
            await asyncio.to_thread(contained, lambda: handler.prepare_explaining(model), lambda _: None)
        body = msgspec.json.encode({"rows": list(rows)})
        answered = handler.answer(Ask(model, body, self._now_us(run), explain, monotonic_s()))
        if answered.shadow is not None:
            answered.shadow()
        return cast("Json", msgspec.json.decode(answered.body))

    async def features(self, view: str, keys: Sequence[str], run: RunRecord) -> Json:
        """What a stored view has of each key: `values`, `status` (`fresh`, `missing`, `expired`, `not_yet_available`), `event_at`, `age_s`.

        Args:
            view: name of a stored view; the version that served models pin, else the declared one.
            keys: as the online store spells them; parts of a composite key joined by U+001F.
            run: whose domain time counts in a replay.

        Raises:
            NotFound: there is no such stored view.
        """
        planned = self._view(view)
        if self.online is None:
            raise NotReady("This process reads no stored features.", hint="Declare a model that uses the view.")
        found = self.online.read({planned.id: list(keys)}).get(planned.id, {})
        now_us = self._now_us(run)
        told = {key: _told(planned, found.get(key), now_us) for key in keys}
        return {"view": view, "version": planned.id, "keys": told}

    async def child(self, kind: str, asset: str, input_: Json, parent: RunRecord, call: str) -> RunRecord:
        """A run below a run; see `serve.runs.protocols.World.child`."""
        if self.begin_child is None:
            raise NotReady("Runs below runs cannot be begun here.", hint="Serve the project: perdure serve.")
        return await self.begin_child(kind, asset, input_, parent, call)

    def instructions(self, prompt: str) -> Sequence[str]:
        """The templates of the versions of a prompt that answer now, message by message: what a run must not send anywhere."""
        serving = self.live.serving
        route = None if serving is None else serving.table.routes.get(prompt)
        if serving is None or route is None:
            return ()
        versions = [serving.table.versions.get(arm.version) for arm in route.every_arm()]
        messages = [each for version in versions if version for each in version.definition.get("messages", ())]
        return [str(each["content"]) for each in messages if isinstance(each, Mapping) and each.get("content")]

    def _asking(self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]) -> tuple[Asgi, Asking]:
        if self.gateway is None:
            raise NotReady("This process has no gateway.", hint="Declare a route, and perdure apply.")
        again = {f"{run.arm}_of": run.replay_of} if run.replay_of else {}
        own = {"run": run.id, run.kind: run.asset, **again, **tags}
        now = iso(from_us(run.served_us)) if self.replay else ""
        return self.gateway, Asking(body, _key_of(caller), own, run.trace, now)

    def _view(self, name: str) -> PlannedView:
        serving = self.live.serving
        for route in () if serving is None else serving.table.routes.values():
            assert serving is not None
            servable = serving.servables[route.champion.version]
            planned = servable.plan.views if isinstance(servable, Servable) else ()
            for view in planned:
                if view.name == name and view.stored:
                    return view
        declared = self.views.get(name)
        if declared is None or declared.source is None:
            stored = [each.name for each in self.views.values() if each.source is not None]
            raise not_found("stored feature view", name, stored)
        return PlannedView.from_definition(declared.definition(), declared.version)

    def _now_us(self, run: RunRecord) -> int:
        return run.served_us if self.replay else machine_us()


def _key_of(caller: Caller) -> Key:
    if caller.record is None:
        raise Refused(
            "This run has no caller's key, and the gateway answers nobody without one.",
            hint="Declare a Team, and ask by one of its keys: perdure key create TEAM.",
        )
    return caller.record


def _told(view: PlannedView, row: OnlineRow | None, now_us: int) -> Json:
    """One key's row in words: an expired one is given with its age, what is known only later is not."""
    status = _status(view, row, now_us)
    if row is None or status == NOT_YET:
        return {"values": None, "status": STATUS_WORDS[status], "event_at": None, "age_s": None}
    return {
        "values": dict(zip(view.features, row.values, strict=True)),
        "status": STATUS_WORDS[status],
        "event_at": iso(from_us(row.event_us)),
        "age_s": max(0, (now_us - row.event_us) // 1_000_000),
    }


def _status(view: PlannedView, row: OnlineRow | None, now_us: int) -> int:
    if row is None:
        return MISSING
    if row.available_us > now_us:
        return NOT_YET
    return EXPIRED if view.ttl_us is not None and now_us - row.event_us > view.ttl_us else FRESH
