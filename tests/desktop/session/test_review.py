import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import SeriesChoice
from core.io import find_scans
from core.model_store import load_card
from core.scan import Scan
from desktop.handover import entry_of
from desktop.session.places import session_folder
from desktop.session.results import Finding, Result, find, unpack_mask
from desktop.session.review import Model, Review
from desktop.session.store import DATABASE, Store
from desktop.session.verdicts import Kind, State


def finding(seed: int, threshold: float = 0.5) -> Finding:
    probability = np.random.default_rng(seed).random((2, 8, 8), np.float32)
    return find(Result(probability, (), {}), threshold, Scan("case", probability[:, None]))


@pytest.fixture
def review(scans: Path, tiny_model: Path) -> Iterator[Review]:
    made = start(scans, tiny_model)
    yield made
    made.store.close()


def start(scans: Path, model: Path) -> Review:
    review = Review([scans], Store(session_folder([scans])), Model(model, load_card(model)))
    review.set_cases(find_scans(scans))
    return review


def read_all(review: Review) -> None:
    for case in review.cases:
        review.was_read(case, "look", f"image of {case.name}")


def test_a_verdict_is_kept_with_its_mask_and_there_the_next_time(review: Review, scans: Path, tiny_model: Path) -> None:
    read_all(review)
    case, found = review.cases[1], finding(1)
    review.was_found(case, 0.5, found.summary)
    assert review.decide(case, Kind.ACCEPT, found)
    assert (case.state, review.saved) == (State.ACCEPTED, True)
    review.store.close()
    again = start(scans, tiny_model)
    assert [case.state for case in again.cases] == [State.TODO, State.ACCEPTED, State.TODO]
    assert np.array_equal(unpack_mask(*again.judged_mask(again.last_event(again.cases[1]))), found.mask)
    again.store.close()


def test_another_mask_reopens_the_case_and_the_old_one_settles_it_again(review: Review) -> None:
    read_all(review)
    case = review.cases[0]
    review.was_found(case, 0.5, finding(1).summary)
    review.decide(case, Kind.ACCEPT, finding(1))
    review.was_found(case, 0.5, finding(2).summary)
    assert case.state is State.REOPENED
    review.was_found(case, 0.5, finding(1).summary)
    assert case.state is State.ACCEPTED
    review.set_choice(case, 0.7, None)
    assert case.state is State.REOPENED


def test_changed_files_reopen_the_case_until_their_content_proves_the_same(review: Review) -> None:
    read_all(review)
    case = review.cases[0]
    review.decide(case, Kind.FLAG)
    review.files_changed([case.name])
    assert case.state is State.REOPENED
    review.was_read(case, "another look", f"image of {case.name}")
    assert case.state is State.FLAGGED
    review.was_read(case, "another look", "another image")
    assert case.state is State.REOPENED


def test_undo_and_redo_reach_across_cases_and_restarts(review: Review, scans: Path, tiny_model: Path) -> None:
    read_all(review)
    for case in review.cases[:2]:
        review.decide(case, Kind.ACCEPT, finding(1))
    review.store.close()
    again = start(scans, tiny_model)
    assert again.undo().case == again.cases[1].name
    assert again.undo().case == again.cases[0].name
    assert again.undo() is None
    assert again.redo().case == again.cases[0].name
    assert [case.state for case in again.cases] == [State.ACCEPTED, State.TODO, State.TODO]
    again.store.close()


def test_nothing_is_accepted_without_a_mask_or_before_it_was_read(review: Review) -> None:
    case = review.cases[0]
    assert review.decide(case, Kind.REJECT) is None
    read_all(review)
    assert review.decide(case, Kind.ACCEPT) is None
    assert review.decide(case, Kind.REJECT, reason="Poor image")
    assert (case.state, review.last_event(case).reason) == (State.REJECTED, "Poor image")


def test_a_locked_record_keeps_the_verdict_and_writes_it_later(review: Review, scans: Path) -> None:
    read_all(review)
    other = sqlite3.connect(session_folder([scans]) / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert review.decide(review.cases[0], Kind.FLAG)
    assert (review.cases[0].state, review.saved) == (State.FLAGGED, False)
    assert "trying again" in review.problem
    assert not review.save_again()
    other.execute("ROLLBACK")
    assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)
    assert review.save_again()
    assert other.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert review.saved
    other.close()


def test_a_second_review_of_the_same_scans_is_read_only_and_follows(
    review: Review, scans: Path, tiny_model: Path
) -> None:
    read_all(review)
    second = start(scans, tiny_model)
    assert second.read_only
    assert second.decide(second.cases[0], Kind.FLAG) is None
    review.decide(review.cases[0], Kind.FLAG)
    second.reload()
    assert second.cases[0].state is State.FLAGGED
    second.store.close()


def test_beside_a_window_of_an_older_version_verdicts_are_seen(review: Review, scans: Path, tiny_model: Path) -> None:
    read_all(review)
    review.decide(review.cases[0], Kind.FLAG)
    review.store._db.execute("DROP TABLE links")
    second = start(scans, tiny_model)
    assert (second.read_only, second.problem, second.cases[0].state) == (True, "", State.FLAGGED)
    second.store.close()


def test_notes_belong_to_the_image(review: Review) -> None:
    read_all(review)
    case = review.cases[0]
    review.set_note(case, "small one at the left edge")
    review.was_read(case, "look", "another image")
    assert case.note == ""
    review.was_read(case, "look", f"image of {case.name}")
    assert case.note == "small one at the left edge"


def test_verdicts_lie_in_the_data_folder_and_nothing_beside_the_scans(review: Review, scans: Path) -> None:
    before = sorted(scans.rglob("*"))
    read_all(review)
    review.decide(review.cases[0], Kind.FLAG)
    assert sorted(scans.rglob("*")) == before
    folder = session_folder([scans])
    assert (folder / DATABASE).is_file()
    assert "scans" not in folder.name


def fill_disk(review: Review, full: bool) -> None:
    """Let the database grow no further, as on a full disk, or let it grow again."""
    pages = review.store._db.execute("PRAGMA page_count").fetchone()[0]
    review.store._db.execute(f"PRAGMA max_page_count = {pages if full else 1 << 30}")


def test_on_a_full_disk_nothing_is_lost_and_all_is_written_when_there_is_room(
    review: Review, scans: Path, tiny_model: Path
) -> None:
    read_all(review)
    fill_disk(review, True)
    first, second, third = review.cases
    for case in (first, second):
        assert review.decide(case, Kind.REJECT, finding(case.number), "r" * 100_000)
    review.set_note(third, "n" * 100_000)
    review.set_note(third, "m" * 100_000)
    assert [case.state for case in review.cases] == [State.REJECTED, State.REJECTED, State.TODO]
    assert (review.saved, review.waiting) == (False, 3)
    assert "full" in review.problem
    assert not review.save_again()
    fill_disk(review, False)
    assert review.save_again()
    assert (review.saved, review.waiting, review.problem) == (True, 0, "")
    review.store.close()
    again = start(scans, tiny_model)
    assert [case.state for case in again.cases[:2]] == [State.REJECTED, State.REJECTED]
    assert np.array_equal(unpack_mask(*again.judged_mask(again.last_event(again.cases[1]))), finding(2).mask)
    read_all(again)
    assert again.cases[2].note == "m" * 100_000
    again.store.close()


def test_a_mask_that_waits_for_room_on_the_disk_is_handed_over_all_the_same(review: Review) -> None:
    read_all(review)
    fill_disk(review, True)
    case, found = review.cases[0], finding(1)
    review.was_found(case, 0.5, found.summary)
    assert review.decide(case, Kind.ACCEPT, found, "r" * 100_000)
    assert (len(review.unsaved), case.state) == (1, State.ACCEPTED)
    assert np.array_equal(unpack_mask(*review.judged_mask(review.last_event(case))), found.mask)
    assert np.array_equal(unpack_mask(*entry_of(review, case, names=False).mask), found.mask)


def test_what_the_record_can_never_hold_keeps_nothing_else_from_it(review: Review) -> None:
    read_all(review)
    first, second, third = review.cases
    review.decide(first, Kind.REJECT, reason="\ud800")
    review.set_note(first, "\ud800")
    assert (review.saved, review.waiting) == (False, 2)
    review.decide(second, Kind.FLAG)
    review.set_note(third, "seen")
    assert not review.save_again()
    assert [event.case for event in review.store.events()] == [second.name]
    assert list(review.store.notes().values()) == ["seen"]
    assert "character" in review.problem
    review.set_note(first, "")  # what is written anew takes its place
    assert review.waiting == 1


def test_an_entry_of_a_newer_version_is_said_and_blocks_no_verdict(
    review: Review, scans: Path, tiny_model: Path
) -> None:
    read_all(review)
    for case in review.cases[:2]:
        review.decide(case, Kind.FLAG)
    with review.store._db as database:
        database.execute("UPDATE events SET kind = 'edit' WHERE number = 2")
    review.store.close()
    again = start(scans, tiny_model)
    read_all(again)
    assert "newer metseg" in again.store.notice
    assert again.decide(again.cases[1], Kind.FLAG)
    assert again.saved
    assert [event.number for event in again.store.events()] == [1, 3]
    again.store.close()


def test_a_series_is_remembered_and_what_was_known_of_another_does_not_hold(
    review: Review, scans: Path, tiny_model: Path
) -> None:
    read_all(review)
    case, choices = review.cases[0], (SeriesChoice("1", "FLAIR"), SeriesChoice("2", "T1w"))
    review.decide(case, Kind.FLAG)
    review.set_series(case, None, choices)
    assert (case.undecided, case.image, case.state) == (True, None, State.TODO)
    event, state = review.handed_over(case)
    assert (event.kind, state) == (Kind.FLAG, State.FLAGGED)
    review.set_series(case, "2", choices)
    review.store.close()
    again = start(scans, tiny_model)
    assert (again.cases[0].series, again.cases[0].choices, again.cases[0].undecided) == ("2", choices, False)
    assert not again.cases[1].choices
    again.store.close()


def start_twins(scans: Path, model: Path) -> Review:
    """A review whose first two cases hold the same images."""
    review = start(scans, model)
    for case in review.cases[:2]:
        review.was_read(case, "look", "the same image")
        review.was_found(case, 0.5, finding(1).summary)
    return review


def test_cases_of_equal_content_keep_their_own_notes_thresholds_and_verdicts(scans: Path, tiny_model: Path) -> None:
    review = start_twins(scans, tiny_model)
    first, second = review.cases[:2]
    for case in (first, second):
        assert review.decide(case, Kind.ACCEPT, finding(1))
    review.set_note(first, "of the first")
    review.set_note(second, "of the second")
    review.set_choice(second, 0.3, "1")
    review.was_found(second, 0.3, finding(1, 0.3).summary)
    assert review.decide(second, Kind.ACCEPT, finding(1, 0.3))
    review.store.close()
    again = start_twins(scans, tiny_model)
    first, second = again.cases[:2]
    assert [(case.state, case.note) for case in (first, second)] == [
        (State.ACCEPTED, "of the first"),
        (State.ACCEPTED, "of the second"),
    ]
    assert (again.threshold(first), again.channel(first)) == (0.5, None)
    assert again.choice(second.name, "the same image") == (0.3, "1")
    again.store.close()


def test_notes_and_choices_of_an_older_record_hold_until_newer_ones_are_written(
    review: Review, scans: Path, tiny_model: Path
) -> None:
    read_all(review)
    case = review.cases[0]
    review.store.set_note(case.image, case.name, "kept by its image alone", "then")
    review.store.set_choice(case.image, 0.7, "1")
    review.store.close()
    older = start(scans, tiny_model)
    case = older.cases[0]
    assert (case.note, older.threshold(case), older.channel(case)) == ("kept by its image alone", 0.7, "1")
    older.set_note(case, "")
    older.set_choice(case, 0.4, None)
    older.store.close()
    again = start(scans, tiny_model)
    case = again.cases[0]
    assert (case.note, again.choice(case.name, case.image)) == ("", (0.4, None))
    again.store.close()


def test_a_case_keeps_its_number_when_others_come(review: Review, scans: Path, tiny_model: Path) -> None:
    before = {case.name: case.number for case in review.cases}
    review.store.close()
    first = next(source for source in find_scans(scans) if before[source.name] == 1)
    shutil.copytree(first.paths[0].parent, scans / "AAA")
    again = start(scans, tiny_model)
    added = [case for case in again.cases if case.name not in before]
    assert {case.name: case.number for case in again.cases if case.name in before} == before
    assert [case.number for case in added] == [len(before) + 1]
    again.store.close()
    once_more = start(scans, tiny_model)
    assert [(case.name, case.number) for case in once_more.cases] == [(case.name, case.number) for case in again.cases]
    once_more.store.close()
