"""Replays recorded traffic through the real server in domain time, the loop beside it.

A replay advances in steps with a barrier: send the requests of the step, send the labels that have
become known, and at each barrier drain, tick until nothing is due and wait until the server reports
the pointers' newest generation. Online rows are brought up to each step's instant before it is sent,
so a request sees exactly what was known then. Two replays of the same traffic give the same
predictions, readings and summaries; only durations differ.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
import polars as pl

from perdure.core.clock import iso, monotonic_s, sleep_s
from perdure.core.errors import NotReady, UpstreamError
from perdure.core.units import days, hours
from perdure.loop.round import RoundReport
from perdure.surface.sdk import Perdure

AT = "_at"
"""Column of the requests with the instant at which each is sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """What to replay.

    Args:
        model: name of the model that is asked.
        requests: the contract's fields and `_at`.
        labels: `key`, `value` and `known_at`.
        start: first instant; the labels of earlier instants are not sent.
        end: the replay goes on until here, so that late labels arrive.
        step: requests of one step are sent with its first instant as domain time.
        barrier: how often the loop ticks.
    """

    model: str
    requests: pl.DataFrame
    labels: pl.DataFrame
    start: datetime
    end: datetime
    step: timedelta = hours(1)
    barrier: timedelta = days(1)
    rows_per_request: int = 256

    def last_barrier(self, at: datetime) -> datetime:
        """The last barrier not after `at`: where a replay can be cut in two that come to the same."""
        return self.start + (at - self.start) // self.barrier * self.barrier

    def part(self, start: datetime, until: datetime) -> Traffic:
        """What is sent in `[start, until)`, both of them barriers; where `until` is the end, the end is in it.

        Parts replayed one after the other, by other processes too, come to the same as the whole.
        """
        return replace(
            self,
            requests=self._sent(self.requests, AT, start, until),
            labels=self._sent(self.labels, "known_at", start, until),
            start=start,
            end=until,
        )

    def _sent(self, frame: pl.DataFrame, column: str, start: datetime, until: datetime) -> pl.DataFrame:
        inside = pl.col(column) >= start
        return frame.filter(inside if until >= self.end else inside & (pl.col(column) < until))


@dataclass(slots=True)
class Progress:
    """How far a replay is; the same object is updated and given to the listener after each barrier."""

    now: datetime
    n_rows_total: int
    n_requests: int = 0
    n_rows: int = 0
    n_rows_refused: int = 0
    n_labels: int = 0
    seconds: float = 0.0
    last_round: RoundReport | None = None
    refused: list[dict[str, Any]] = field(default_factory=list)
    """The first errors of refused rows."""


class Replay:
    """One replay of `traffic` through the server at `url`."""

    def __init__(self, perdure: Perdure, traffic: Traffic, url: str) -> None:
        self._perdure = perdure
        self._traffic = traffic
        self._client = Client(url)

    def run(self, on_barrier: Callable[[Progress], None]) -> Progress:
        """Send everything; returns the final counts.

        Raises:
            LeaseHeld: another control plane runs this project.
            UpstreamError: the server answered something else than an answer or a refusal of rows.
        """
        traffic, began = self._traffic, monotonic_s()
        progress = Progress(traffic.start, traffic.requests.height)
        requests = _steps(traffic.requests, AT, traffic.start, traffic.step)
        labels = _steps(traffic.labels, "known_at", traffic.start, traffic.step)
        barrier = traffic.start + traffic.barrier
        loop = self._perdure.loop
        with self._perdure.hold_lease(wait_s=30.0) as held:
            now, waiting, due = traffic.start, True, loop.next_due()
            while now <= traffic.end:
                if now >= barrier or (due is not None and now >= due):
                    progress.now, progress.seconds = now, monotonic_s() - began
                    progress.last_round = loop.tick(now, held.lease)
                    self._await_generation()
                    due = loop.next_due()
                    if now >= barrier:
                        barrier += traffic.barrier
                        on_barrier(progress)
                    waiting = False
                loop.materialise(now)
                if now in requests:
                    self._send(requests[now], now, progress)
                if now in labels:
                    self._send_labels(labels[now], now + traffic.step, progress)
                waiting = waiting or now in requests or now in labels
                now += traffic.step
            if waiting:
                # What was sent after the last barrier is still to be taken in.
                progress.last_round = loop.tick(traffic.end, held.lease)
                progress.now, progress.seconds = traffic.end, monotonic_s() - began
                on_barrier(progress)
        self._client.close()
        return progress

    def _send(self, rows: pl.DataFrame, now: datetime, progress: Progress) -> None:
        path = f"/v1/models/{self._traffic.model}/predict"
        size = self._traffic.rows_per_request
        for part in _parts(rows.drop(AT).to_dicts(), size):
            status, answer = self._client.post(path, {"rows": part}, now)
            progress.n_requests += 1
            if status == 200:
                progress.n_rows += len(part)
            elif status == 422:
                self._send_again(path, part, answer, now, progress)
            else:
                raise UpstreamError(f"The server answered {status}: {answer!r}.")

    def _send_again(self, path: str, part: list[Any], answer: Any, now: datetime, progress: Progress) -> None:
        """Refused rows are kept by the server; the rest of their request is sent once more without them."""
        errors = answer["error"]["facts"]["errors"]
        bad = {error["row"] for error in errors}
        progress.n_rows_refused += len(bad)
        progress.refused += errors[: max(0, 20 - len(progress.refused))]
        good = [row for at, row in enumerate(part) if at not in bad]
        if not good:
            return
        status, again = self._client.post(path, {"rows": good}, now)
        progress.n_requests += 1
        if status != 200:
            raise UpstreamError(f"The server answered {status}: {again!r}.")
        progress.n_rows += len(good)

    def _send_labels(self, rows: pl.DataFrame, now: datetime, progress: Progress) -> None:
        for part in _parts(rows.to_dicts(), 1000):
            body = {"model": self._traffic.model, "labels": part}
            status, answer = self._client.post("/v1/labels", body, now)
            if status != 202:
                raise UpstreamError(f"The server answered {status}: {answer!r}.")
            progress.n_labels += len(part)

    def _await_generation(self, *, timeout_s: float = 30.0) -> None:
        with self._perdure.place.stores.ledger.read() as session:
            wanted = session.pointers.generation()
        deadline = monotonic_s() + timeout_s
        while True:
            status, answer = self._client.get("/readyz")
            if status == 200 and answer["generation"] >= wanted and not answer["held_back"]:
                return
            if monotonic_s() > deadline:
                raise NotReady(f"The server did not load generation {wanted} within {timeout_s:g} s: {answer!r}.")
            sleep_s(0.02)


def _steps(frame: pl.DataFrame, column: str, start: datetime, step: timedelta) -> dict[datetime, pl.DataFrame]:
    """Rows by the first instant of their step, in order of time."""
    inside = frame.filter(pl.col(column) >= start).sort(column, maintain_order=True)
    elapsed_us = (pl.col(column) - start).dt.total_microseconds()
    step_us = step // timedelta(microseconds=1)
    parts = inside.with_columns(_step=elapsed_us // step_us).partition_by("_step", as_dict=True, include_key=False)
    return {start + step * int(at): part for (at,), part in parts.items()}


def _parts(rows: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


class Client:
    """A keep-alive HTTP client for one server: JSON in, JSON out, domain time in a header."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def post(self, path: str, body: Any, now: datetime) -> tuple[int, Any]:
        """Status and decoded answer."""
        headers = {"content-type": "application/json", "perdure-now": iso(now)}
        return self._call("POST", path, msgspec.json.encode(body), headers)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and decoded answer."""
        return self._call("GET", path, None, {})

    def _call(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UpstreamError(f"The server did not answer {method} {path}: {error}.") from error
        return response.status, msgspec.json.decode(content) if content else None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
