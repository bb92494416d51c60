"""Journals of all runs go out together: numbered, fenced, and written to their end even where whoever wrote is cancelled."""

from __future__ import annotations

import asyncio
import threading

import pytest
from acting import chat_step, new_run

from perdure.core.clock import machine_us
from perdure.core.errors import LostLease, StoreError, StoreFull
from perdure.core.runs import Wait
from perdure.serve.runs.journaling import InMemory, JournalWriter, RunJournal
from perdure.stores.runs.sqlite import SqliteRuns

LATER_US = machine_us() + 3_600_000_000


class Slow:
    """A store whose writes wait for a gate, and are counted."""

    def __init__(self, runs):
        self.runs, self.gate, self.batches, self.error = runs, threading.Event(), [], None
        self.gate.set()

    def write(self, progress):
        self.gate.wait(5)
        self.batches.append(len(progress))
        if self.error is not None:
            raise self.error
        return self.runs.write(progress)


@pytest.fixture
def store(tmp_path):
    """A store in a file."""
    runs = SqliteRuns(tmp_path / "runs.db")
    yield runs
    runs.close()


def begun(store, writer, id_="run_1", tells=None):
    """A run's journal, claimed."""
    run, claim = store.begin(new_run(id_), "me", LATER_US)
    return RunJournal(run.id, writer, claim, tells=tells)


def wait_of(run, id_="w1"):
    return Wait(
        id=id_, run=run, asset="desk", call="0.0", tool="send", question="approve", text="?", arguments=b"{}",
        role="", asked_us=1,
    )  # fmt: skip


def test_entries_are_durable_and_numbered_when_write_returns(store):
    async def writes():
        writer = JournalWriter(store)
        journal = begun(store, writer)
        await journal.write(chat_step("a"), chat_step("b"))
        await journal.write(chat_step("c"), waits=[wait_of("run_1")])
        assert journal.steps == list(store.get("run_1").steps)
        assert journal.waits == list(store.get("run_1").waits)
        await writer.close()

    asyncio.run(writes())
    assert [(step.n, step.run, step.call) for step in store.get("run_1").steps] == [
        (0, "run_1", "a"), (1, "run_1", "b"), (2, "run_1", "c"),
    ]  # fmt: skip


def test_many_runs_share_a_write_and_entries_of_one_run_keep_their_order(store):
    slow = Slow(store)

    async def writes():
        writer = JournalWriter(slow)
        journals = [begun(store, writer, f"run_{n}") for n in range(20)]
        slow.gate.clear()
        tasks = [asyncio.ensure_future(each.write(chat_step(call))) for call in "abc" for each in journals]
        await asyncio.sleep(0.01)
        slow.gate.set()
        await asyncio.gather(*tasks)
        await writer.close()

    asyncio.run(writes())
    assert len(slow.batches) <= 2
    for n in range(20):
        assert [step.call for step in store.get(f"run_{n}").steps] == ["a", "b", "c"]


def test_what_a_cancelled_run_gave_to_the_journal_is_written_all_the_same(store):
    slow = Slow(store)

    async def writes():
        writer = JournalWriter(slow)
        journal = begun(store, writer)
        slow.gate.clear()
        task = asyncio.ensure_future(journal.write(chat_step("a")))
        await asyncio.sleep(0.01)
        task.cancel()
        slow.gate.set()
        await asyncio.wait([task])
        await journal.write(chat_step("b"))
        await writer.close()

    asyncio.run(writes())
    assert [step.call for step in store.get("run_1").steps] == ["a", "b"]


def test_another_workers_claim_is_told_and_the_others_are_written(store):
    async def writes():
        writer = JournalWriter(store)
        mine, lost = begun(store, writer, "run_1"), begun(store, writer, "run_2")
        store.claim("other", 0, LATER_US, [], 1, run="run_2")
        results = await asyncio.gather(mine.write(chat_step("a")), lost.write(chat_step("a")), return_exceptions=True)
        await writer.close()
        return results

    first, second = asyncio.run(writes())
    assert first is None
    assert isinstance(second, LostLease)
    assert not store.get("run_2").steps


def test_a_full_disk_is_told_and_leaves_no_gap(store):
    slow = Slow(store)

    async def writes():
        writer = JournalWriter(slow)
        journal = begun(store, writer)
        for error, told in ((StoreFull("No room."), StoreFull), (RuntimeError("secret"), StoreError)):
            slow.error = error
            with pytest.raises(told) as raised:
                await journal.write(chat_step("a"))
            assert "secret" not in str(raised.value)
        slow.error = None
        await journal.write(chat_step("b"))
        await writer.close()

    asyncio.run(writes())
    assert [(step.n, step.call) for step in store.get("run_1").steps] == [(0, "b")]


def test_listeners_hear_what_is_durable_and_nothing_else(store):
    heard = []

    async def writes():
        writer = JournalWriter(store)
        journal = begun(store, writer, tells=heard.append)
        await journal.write(chat_step("a"), waits=[wait_of("run_1")])
        store.claim("other", 0, LATER_US, [], 1, run="run_1")
        with pytest.raises(LostLease):
            await journal.write(chat_step("b"))
        await writer.close()

    asyncio.run(writes())
    assert [(event.name, event.data.get("call")) for event in heard] == [("step", "a"), ("wait", "0.0")]


def test_a_journal_in_memory_reads_as_one_in_a_store():
    async def writes():
        journal = RunJournal("run_1", InMemory())
        await journal.write(chat_step("a"), waits=[wait_of("run_1")])
        await journal.write(chat_step("b"), waits=[wait_of("run_1")])
        return journal

    journal = asyncio.run(writes())
    assert [(step.n, step.run) for step in journal.steps] == [(0, "run_1"), (1, "run_1")]
    assert len(journal.waits) == 1
