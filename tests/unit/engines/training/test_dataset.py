"""Rows are put together, labelled and split, and nothing is lost uncounted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from perdure.core.errors import BadModel, BadSource
from perdure.engines.training.dataset import join_labels, prepare_rows, split_by_time
from perdure.engines.training.lineage import describe, frame_digest

T0 = datetime(2013, 1, 1, tzinfo=UTC)


def at(n_hours):
    return T0 + timedelta(hours=n_hours)


def rows(*values, **more):
    keys, instants, available, numbers = zip(*values, strict=True)
    return pl.DataFrame(
        {"id": list(keys), "at": list(instants), "_available_at": list(available), "value": list(numbers), **more}
    )


class TestPrepareRows:
    def test_the_row_that_became_available_last_is_kept(self):
        """Later availability wins on either side, and the rest is counted."""
        history = rows(("a", at(0), at(0), 1), ("b", at(1), at(9), 2))
        captures = rows(("a", at(0), at(1), 10), ("b", at(1), at(2), 20))
        prepared = prepare_rows(history, captures, key=["id"], as_of_column="at")
        assert prepared.frame.select("id", "value", "_origin").rows() == [("a", 10, "capture"), ("b", 2, "history")]
        assert (prepared.n_history, prepared.n_captures, prepared.n_duplicates) == (2, 2, 2)

    def test_a_capture_wins_over_history_of_the_same_instant(self):
        """What was served is closer to the truth than a batch that arrived as late."""
        prepared = prepare_rows(
            rows(("a", at(0), at(1), 1)), rows(("a", at(0), at(1), 2)), key=["id"], as_of_column="at"
        )
        assert prepared.frame["value"].to_list() == [2]

    def test_a_prediction_id_outlives_a_later_batch(self):
        """Columns that only captures have are kept when history wins; real nulls stay null."""
        captures = rows(("a", at(0), at(1), 1), ("b", at(0), at(1), 2), prediction_id=["p1", "p2"])
        history = rows(("a", at(0), at(5), None))
        prepared = prepare_rows(history, captures, key=["id"], as_of_column="at")
        assert prepared.frame.select("id", "value", "prediction_id").rows() == [("a", None, "p1"), ("b", 2, "p2")]

    def test_without_captures_history_alone_is_prepared(self):
        """The as-of instant stands in for a missing availability, and duplicates within history count too."""
        history = rows(("b", at(2), None, 2), ("a", at(1), at(1), 1), ("a", at(1), at(1), 3)).drop("_available_at")
        prepared = prepare_rows(history, None, key=["id"], as_of_column="at")
        assert prepared.frame["value"].to_list() == [3, 2]
        assert prepared.frame["_available_at"].to_list() == [at(1), at(2)]
        assert prepared.n_duplicates == 1

    def test_rows_without_key_or_instant_are_counted_not_used(self):
        """They can be neither told apart nor placed in time."""
        history = rows(("a", at(0), at(0), 1), (None, at(0), at(0), 2), ("c", None, at(0), 3))
        prepared = prepare_rows(history, None, key=["id"], as_of_column="at")
        assert prepared.frame["id"].to_list() == ["a"]
        assert prepared.n_incomplete == 2

    def test_a_missing_key_column_names_the_nearest(self):
        """The message is enough to mend the declaration."""
        with pytest.raises(BadSource, match=r"no column 'ids'.*'id'"):
            prepare_rows(rows(("a", at(0), at(0), 1)), None, key=["ids"], as_of_column="at")

    def test_frames_of_different_types_are_refused(self):
        """A number and a list cannot be one column."""
        history, captures = rows(("a", at(0), at(0), 1)), rows(("a", at(0), at(0), [1]))
        with pytest.raises(BadSource, match="cannot be put together"):
            prepare_rows(history, captures, key=["id"], as_of_column="at")


def labels(*values):
    schema = {"prediction_id": pl.String, "id": pl.String, "truth": pl.Float64, "known": pl.Datetime("us", "UTC")}
    return pl.DataFrame(list(values), schema=schema, orient="row")


class TestJoinLabels:
    def join(self, frame, found):
        return join_labels(frame, found, key="id", value="truth", known_at="known", until=at(100))

    def test_the_latest_label_wins_and_a_future_one_is_never_used(self):
        """A correction replaces; what is known after `until` is not there."""
        found = labels((None, "a", 1.0, at(1)), (None, "a", 2.0, at(2)), (None, "a", 3.0, at(101)))
        joined = self.join(rows(("a", at(0), at(0), 0)), found)
        assert joined.frame["_label"].to_list() == [2.0]
        assert joined.frame["_label_known_at"].to_list() == [at(2)]
        assert (joined.n_corrected, joined.n_future, joined.n_duplicates) == (1, 1, 0)

    def test_a_label_by_prediction_id_labels_that_row_alone(self):
        """A label of an unknown prediction falls back on its key."""
        frame = rows(("a", at(0), at(0), 0), ("b", at(0), at(0), 0), prediction_id=["p1", "p2"])
        found = labels(("p1", "b", 5.0, at(1)), ("p9", "b", 6.0, at(1)))
        joined = self.join(frame, found)
        assert joined.frame["_label"].to_list() == [5.0, 6.0]
        assert joined.n_orphaned == 0

    def test_repeats_orphans_and_unusable_labels_are_counted(self):
        """Every label has one fate."""
        found = labels(
            (None, "a", 1.0, at(1)),
            (None, "a", 1.0, at(2)),
            (None, "z", 1.0, at(1)),
            (None, "a", None, at(1)),
            (None, None, 1.0, at(1)),
            (None, "a", float("nan"), at(1)),
        )
        joined = self.join(rows(("a", at(0), at(0), 0), ("b", at(0), at(0), 0)), found)
        assert (joined.n_duplicates, joined.n_orphaned, joined.n_unusable, joined.n_matched) == (1, 1, 3, 2)
        assert (joined.n_labelled, joined.n_unlabelled) == (1, 1)

    def test_a_label_known_before_its_row_is_used_and_counted_as_early(self):
        """It may be a leak, so somebody should look."""
        joined = self.join(rows(("a", at(5), at(5), 0)), labels((None, "a", 1.0, at(4))))
        assert joined.frame["_label"].to_list() == [1.0]
        assert joined.n_early == 1

    def test_keys_of_different_types_are_compared_as_text(self):
        """A label that came over HTTP has its key as text."""
        frame = pl.DataFrame({"id": [7, 8]})
        joined = self.join(frame, labels((None, "8", 1.5, at(1))))
        assert joined.frame["_label"].to_list() == [None, 1.5]

    def test_truth_values_become_numbers_and_text_is_refused(self):
        """A classification is labelled 0 and 1."""
        found = pl.DataFrame({"id": ["a"], "truth": [True], "known": [at(1)]})
        assert self.join(rows(("a", at(0), at(0), 0)), found).frame["_label"].to_list() == [1.0]
        with pytest.raises(BadSource, match="'truth' is no number"):
            self.join(rows(("a", at(0), at(0), 0)), found.with_columns(truth=pl.lit("x")))


class TestSplitByTime:
    def test_no_instant_is_on_both_sides(self):
        """The border moves to the nearest change of instant."""
        frame = pl.DataFrame({"at": [at(1)] * 5 + [at(2)] * 4 + [at(3)]})
        train, valid = split_by_time(frame, "at", 0.3)
        assert (train.height, valid.height) == (5, 5) or (train.height, valid.height) == (9, 1)
        assert train["at"].max() < valid["at"].min()

    def test_rows_come_back_in_order_of_time(self):
        """Whatever order they came in."""
        train, valid = split_by_time(pl.DataFrame({"at": [at(3), at(1), at(2)]}), "at", 0.34)
        assert train["at"].to_list() == [at(1), at(2)]
        assert valid["at"].to_list() == [at(3)]

    def test_one_instant_cannot_be_split(self):
        """There is no newer part to validate on."""
        with pytest.raises(BadModel, match="at one instant"):
            split_by_time(pl.DataFrame({"at": [at(1), at(1)]}), "at")

    def test_a_ratio_must_lie_between_0_and_1(self):
        """All or nothing is no split."""
        with pytest.raises(BadModel, match="validation share"):
            split_by_time(pl.DataFrame({"at": [at(1), at(2)]}), "at", 1.0)


class TestLineage:
    def test_the_digest_depends_on_content_alone(self):
        """Chunks, the order of columns and what lies under a null do not matter; each value does."""
        frame = pl.DataFrame({"a": [1.0, None, 3.0], "b": ["x", "y", None], "t": [at(1), at(2), None]})
        chunked = pl.concat([frame[:1], frame[1:]], rechunk=False)
        hidden = frame.with_columns(a=pl.when(pl.col("a").is_null()).then(None).otherwise(pl.col("a")))
        assert frame_digest(frame) == frame_digest(chunked) == frame_digest(hidden)
        assert frame_digest(frame) == frame_digest(frame.select("t", "b", "a"))
        digests = {
            frame_digest(frame),
            frame_digest(frame.with_columns(a=pl.Series([1.0, 0.0, 3.0]))),
            frame_digest(frame.with_columns(b=pl.Series(["xy", "", None]))),
            frame_digest(frame.reverse()),
            frame_digest(frame.rename({"a": "c"})),
            frame_digest(frame.cast({"a": pl.Float32})),
        }
        assert len(digests) == 6

    def test_every_kind_of_column_has_a_digest(self):
        """Truth values, categories, days, bytes, lists and nothing at all."""
        frame = pl.DataFrame(
            {
                "b": [True, None],
                "c": ["x", None],
                "d": [T0.date(), None],
                "y": [b"z", None],
                "l": [[1], None],
                "n": None,
            }
        ).with_columns(pl.col("c").cast(pl.Categorical))
        assert frame_digest(frame) == frame_digest(frame.clone()) != frame_digest(frame[:1])

    def test_the_card_tells_rows_span_and_missing_values(self):
        """NaN counts as missing."""
        frame = pl.DataFrame({"at": [at(1), at(3)], "v": [None, float("nan")], "w": [1, 2]})
        card = describe(frame, "at", {"n_history": 2})
        assert (card.n_rows, card.start_at, card.end_at) == (2, at(1), at(3))
        assert card.null_ratios == {"at": 0.0, "v": 1.0, "w": 0.0}
        assert card.as_dict()["counts"] == {"n_history": 2}
