"""Indexes that decay: seen, explained, mended, counted again, released by the loop, and told by `perdure explain`."""

from __future__ import annotations

import pytest
from indexing import HEALTHY, IndexWorld, golden_recall, hours, minutes

from perdure.testing.indexes import question_of


@pytest.fixture
def world(tmp_path):
    return IndexWorld(tmp_path)


def finds_all(world, numbers=(0, 7, 31, 59)):
    """Whether golden questions find their documents first."""
    return all(world.finds(question_of(number))[0] == f"{number:03d}.md" for number in numbers)


def test_a_source_that_nobody_followed_and_rows_that_a_hand_damaged_are_mended_by_one_plan(world):
    """Stale source: documents changed, came and went while nothing followed, rows were deleted and overwritten; a census proves it healed."""
    world.documents.write(0, world.now, "Clerk zebulon9 decides now.")
    world.documents.write(60, world.now)
    world.documents.remove(5)
    with world.documents.careless_hand(world.file()) as hand:
        hand.execute("DELETE FROM chunks WHERE document IN ('010.md', '011.md')")
        hand.execute("UPDATE chunks SET packed = changed(packed, 'vector', x'00000000') WHERE document = '020.md'")
    world.live(6)
    [incident] = world.incidents()
    assert incident.closed_at is not None
    assert world.champion() == world.first
    assert world.finds("zebulon9")[0] == "000.md"
    assert finds_all(world, (10, 11, 20))
    [verified] = [each for each in world.said("loop.verify") if each["stage"] == "resync"]
    assert 0.0 < verified["detect_s"] <= 2 * 3600.0
    assert verified["repair_s"] > 0.0
    story = world.story()
    for told in (
        "skew_ratio over 4h <= 0.001",
        "What stands in the index is not what was written, in 1 document (020.md).",
        "Rows changed and no generation tells of it, in 2 documents (010.md, 011.md): 2 missing.",
        "The source is ahead of the index: 1 new, 1 changed, 1 gone of 60 documents. The oldest change waits for",
        "passed census: Generation 1 became 2: delete 1, update 1, add 1, rechunk 3",
        "A new census of 60 documents and 60 chunks finds nothing.",
        "mended: resync: delete 1, update 1, add 1, rechunk 3",
        "Every objective is healthy again",
    ):
        assert told in story, story


def test_a_source_that_is_ahead_for_long_says_that_nothing_follows_it(world):
    """Without damage the cause is the sync that stopped; the documents are found after one round."""
    world.documents.write(3, world.now, "Clerk quillon4 decides now.")
    world.live(6)
    [incident] = world.incidents()
    assert incident.kind == "sync_stopped"
    assert incident.closed_at is not None
    assert world.finds("quillon4")[0] == "003.md"


def test_an_embedder_that_changed_behind_its_name_is_replaced_by_a_version_of_what_it_is_now(world):
    """Silently changed embedder: sentences moved, all is embedded beside, golden questions prove it, the pointer moves, the old stays warm."""
    assert finds_all(world)
    world.documents.model.seed = "second"
    world.live(8)
    [incident] = world.incidents()
    assert incident.kind == "embedder_changed"
    assert incident.closed_at is not None
    assert world.champion() != world.first
    assert finds_all(world)
    assert world.first in world.perdure._indexes.versions("handbook")
    assert [each.version for each in world.perdure.sync_index("handbook", at=world.now)] == [world.champion()]
    story = world.story()
    for told in (
        "The embedder changed behind its name: fixed sentences are up to",
        "chunks that were embedded again differ",
        "passed index_whole: A census of 60 documents and 60 chunks finds nothing wrong.",
        "passed index_golden: nDCG@10",
        "better: +",
        "passed index_shadow: No question of the last week is kept.",
        f"champion {world.champion()} (all)",
        "answers, and held in its watch.",
        "sentinel_shift over 4h <= 0.001",
    ):
        assert told in story, story


def test_an_embedder_that_changed_back_brings_the_version_back_that_is_still_warm(world):
    """The former champion is kept filled: going back to it embeds nothing but questions and sentences."""
    world.documents.model.seed = "second"
    world.live(8)
    world.documents.model.seed = "first"
    world.live(8)
    assert world.champion() == world.first
    assert [each.kind for each in world.incidents()] == ["embedder_changed"] * 2
    assert "index_past_version" in world.story()
    assert finds_all(world)


def test_what_a_census_finds_counts_in_the_round_that_takes_it(world):
    with world.documents.taken_away():
        world.live(0.5)
        assert [each.kind for each in world.incidents()] == ["source_down"]


def test_an_outage_that_is_over_by_the_next_round_is_no_incident_though_a_person_saw_it(world):
    with world.documents.taken_away():
        assert not world.perdure.census_index("handbook", at=world.now + minutes(29)).whole
    world.live(2)
    assert world.incidents() == []


def test_a_source_that_is_not_there_is_an_incident_and_deletes_nothing(world):
    """Nothing is known of what a source has that does not answer: the index answers as before, and nothing is repaired."""
    with world.documents.taken_away():
        world.live(3)
        [incident] = world.incidents()
        assert incident.kind == "source_down"
        assert incident.closed_at is None
        assert finds_all(world)
    world.live(3)
    [incident] = world.incidents()
    assert incident.closed_at is not None
    assert len(world.perdure.index_history("handbook")) == 1
    assert "Its source does not answer whole:" in world.story()
    assert "Nothing is deleted for that." in world.story()


@pytest.mark.parametrize("yes", [True, False])
def test_too_many_documents_that_are_gone_at_once_are_a_question(world, yes):
    """Nothing is deleted before a person says yes, and after a no it is not asked again."""
    world.documents.remove(*range(40))
    world.live(2)
    assert world.perdure.show_index("handbook").generation.n_documents == 60
    [question] = world.perdure.approvals()
    assert "delete 40 of 60 documents that are gone at the source" in question.text
    assert world.incidents()[-1].kind == "source_shrank"
    world.answer(yes=yes)
    world.live(6)
    shown = world.perdure.show_index("handbook")
    assert shown.generation.n_documents == (20 if yes else 60)
    assert (world.incidents()[-1].closed_at is not None) == yes
    assert world.perdure.approvals() == []
    assert f"ana said {'yes' if yes else 'no'}" in world.story()


def test_a_store_that_is_mostly_wrong_is_built_anew_beside_what_answers(world):
    """Where most rows are damaged a version of the same definition is built, without embedding anything again, and released."""
    n_embedded = world.documents.model.n_embedded
    with world.documents.careless_hand(world.file()) as hand:
        hand.execute("UPDATE chunks SET packed = changed(packed, 'text', 'nothing') WHERE key % 8 > 0")
    world.live(8)
    [incident] = world.incidents()
    assert incident.kind == "store_damaged"
    assert incident.closed_at is not None
    assert world.champion() != world.first
    assert finds_all(world)
    assert "index_rebuild" in world.story()
    assert world.documents.model.n_embedded >= n_embedded


def test_a_healthy_index_has_no_incident_over_days(tmp_path):
    """No false alarm, while documents come, change and go and are followed."""
    world = IndexWorld(tmp_path, n_documents=20, healthy=HEALTHY[1:])
    for day in range(3):
        world.documents.write(day, world.now, f"Day {day}.")
        world.perdure.sync_index("handbook", at=world.now)
        world.live(24, hours(4))
    assert world.incidents() == []


def test_another_declaration_is_filled_and_asked_before_the_pointer_moves(world):
    """`apply` registers the version, builds it, counts it and asks the golden questions; then it answers."""
    from perdure import Whole

    world.open(chunker=Whole())
    changes = world.perdure.apply(at=world.now)
    told = [each for each in changes if each.asset == "handbook"][-1]
    assert told.kind == "index"
    assert told.what == "proving"
    assert world.champion() == world.first
    world.live(4)
    assert world.champion() != world.first
    assert world.champion() == world.perdure._indexes.declared("handbook")
    assert world.incidents() == []


def test_golden_recall_is_measured_with_an_interval(tmp_path):
    """A reading says how sure it is, and lines that cannot be read are told."""
    world = IndexWorld(tmp_path, healthy=[golden_recall(k=5, over=hours(2)) >= 0.8])
    [reading, *_] = [
        each for each in world.perdure.place.stores.readings.list("handbook") if each.signal == "golden_recall_at_5"
    ]
    assert reading.value == 1.0
    assert 0.8 < reading.low < 1.0
    assert world.incidents() == []
