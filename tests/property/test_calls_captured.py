"""What was captured of calls is what is read of them, whatever it holds and however it is cut into batches."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.clock import to_us
from perdure.core.usage import Usage
from perdure.loop.work.calls import read_attempts, read_calls, read_feedback, read_guarded
from perdure.loop.work.captured import CapturedBatch
from perdure.loop.work.captured_calls import USAGE
from perdure.stores.capture.events import Attempt, Call, Event, Feedback, Guarded
from perdure.stores.lake.delta import DeltaLake

numbers = st.integers(0, 2**62)
texts = st.text(max_size=12)
bodies = texts.map(str.encode)
instants = st.integers(0, 4_000_000_000_000_000)
usages = st.builds(Usage, estimated=st.booleans(), **{name: numbers for name in USAGE if name != "estimated"})
attempts = st.builds(Attempt, texts, numbers, numbers, numbers, numbers, texts, st.none() | usages, st.none() | numbers)
scores = st.floats(allow_nan=False)
verdicts = st.builds(Guarded, *[texts] * 7, scores, numbers, bodies)
typed = {str: texts, int: numbers, bool: st.booleans(), bytes: bodies, Usage: usages, "instant": instants}
calls = st.builds(
    Call,
    **{
        field.name: instants if field.name in ("served_us", "recorded_us") else typed[field.type]
        for field in msgspec.structs.fields(Call)
        if field.type in typed
    },
    cost_pusd=st.none() | numbers,
    attempts=st.lists(attempts, max_size=3),
    guards=st.lists(verdicts, max_size=3),
    tags=st.dictionaries(texts, texts, max_size=2),
)
feedback = st.builds(Feedback, texts, instants, instants, texts, texts, scores, texts)


def usage_of(row):
    return None if row["n_input"] is None else Usage(**{name: row[name] for name in USAGE})


def as_attempt(row):
    own = [row[name] for name in ("target", "status", "began_us", "first_us", "took_us", "error")]
    return Attempt(*own, usage_of(row), row["cost_pusd"])


def as_verdict(row):
    own = [row[name] for name in Guarded.__struct_fields__[:-1]]
    return Guarded(*own, (row["text"] or "").encode())


def as_call(row, tried, said):
    own = {name: row[name] for name in Call.__struct_fields__ if name in row}
    return Call(
        **own
        | {
            "id": row["call_id"],
            "served_us": to_us(row["served_at"]),
            "recorded_us": to_us(row["recorded_at"]),
            "usage": usage_of(row),
            "attempts": [as_attempt(each) for each in tried if each["call_id"] == row["call_id"]],
            "guards": [as_verdict(each) for each in said if each["call_id"] == row["call_id"]],
            "request": (row["request"] or "").encode(),
            "answer": (row["answer"] or "").encode(),
            "tags": msgspec.json.decode(row["tags"]),
        }
    )


def through_the_lake(root, events, cut):
    """The events as the drain keeps them, in two batches, over the bytes of their frames."""
    lake = DeltaLake(root)
    for number, part in enumerate((events[:cut], events[cut:]), 1):
        batch = CapturedBatch(number)
        for event in part:
            batch.add(msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event))
        for table, frame in batch.tables().items():
            lake.append(table, frame)
    return lake


@settings(max_examples=12)
@given(st.lists(calls, max_size=4, unique_by=lambda call: call.id), st.integers(0, 4))
def test_every_call_is_read_as_it_was_captured(tmp_path_factory, events, cut):
    lake = through_the_lake(tmp_path_factory.mktemp("lake"), events, cut)
    rows = [read(lake, None, None, None).to_dicts() for read in (read_calls, read_attempts, read_guarded)]
    found = [as_call(row, *rows[1:]) for row in rows[0]]
    assert found == sorted(events, key=lambda call: (call.served_us, call.id))
    assert [row["n_attempts"] for row in rows[0]] == [len(call.attempts) for call in found]


@settings(max_examples=8)
@given(st.lists(feedback, max_size=4, unique_by=lambda each: (each.call_id, each.name, each.key)), st.integers(0, 4))
def test_feedback_is_read_as_it_came(tmp_path_factory, events, cut):
    lake = through_the_lake(tmp_path_factory.mktemp("lake"), events, cut)
    found = [
        Feedback(
            row["call_id"],
            to_us(row["received_at"]),
            to_us(row["recorded_at"]),
            *[row[name] for name in ("key", "name", "value", "text")],
        )
        for row in read_feedback(lake, None, None, None).to_dicts()
    ]
    assert found == sorted(events, key=lambda each: (each.received_us, each.call_id, each.name, each.key))
