"""What becomes of uploads: masks added by hand stay while other cases are looked at, and nothing stays when removed."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest

Open = Callable[..., AppTest]


def count(uploads: MemoryUploadedFileManager) -> int:
    return sum(len(files) for files in uploads.file_storage.values())


@pytest.fixture
def two_cases(open_page: Open, api_url: str, kit: SimpleNamespace, uploads: MemoryUploadedFileManager) -> AppTest:
    """Two cases that were segmented; the first is looked at."""
    files = [(f"{name}.tif", kit.tiff(kit.noise(40, 40, seed=seed))) for seed, name in enumerate("ab")]
    return kit.find_lesions(kit.upload(open_page(api_url), *files))


def add_truth(page: AppTest, kit: SimpleNamespace) -> AppTest:
    mask = kit.tiff(np.eye(40, dtype=np.uint8))
    return page.file_uploader[1].set_value([("truth.tif", mask, "image/tiff")]).run()


def look_at(page: AppTest, kit: SimpleNamespace, name: str) -> AppTest:
    case = next(case for case in kit.desk_of(page).reading.cases if case.scan.name == name)
    page.selectbox(key="case").set_value(case.key).run()
    assert not page.exception
    assert kit.desk_of(page).case is case
    return page


def has_dice(page: AppTest) -> bool:
    return "Dice" in {metric.label for metric in page.metric}


def test_truth_that_was_added_stays_while_another_case_is_looked_at(two_cases: AppTest, kit: SimpleNamespace) -> None:
    page = add_truth(two_cases, kit)
    assert has_dice(page)
    assert not has_dice(look_at(page, kit, "b"))
    assert has_dice(look_at(page, kit, "a"))
    assert [row["dice"] is not None for row in kit.desk_of(page).rows()] == [True, False]


def test_truth_goes_when_its_file_is_taken_out(two_cases: AppTest, kit: SimpleNamespace) -> None:
    page = add_truth(two_cases, kit)
    page.file_uploader[1].set_value([]).run()
    assert not page.exception
    assert not has_dice(page)
    assert kit.desk_of(page).truths == {}


def test_truth_can_be_taken_out_when_its_uploader_has_forgotten_it(
    two_cases: AppTest, kit: SimpleNamespace, uploads: MemoryUploadedFileManager
) -> None:
    page = look_at(look_at(add_truth(two_cases, kit), kit, "b"), kit, "a")
    assert count(uploads) == 3
    next(button for button in page.button if button.label == "Remove this mask").click().run()
    assert not page.exception
    assert not has_dice(page)
    assert (kit.desk_of(page).truths, count(uploads)) == ({}, 2)


def test_removed_files_do_not_stay_in_memory(
    two_cases: AppTest, kit: SimpleNamespace, uploads: MemoryUploadedFileManager
) -> None:
    page = look_at(add_truth(two_cases, kit), kit, "b")
    assert count(uploads) == 3
    next(button for button in page.button if button.label == "Remove these files").click().run()
    assert not page.exception
    assert count(uploads) == 0


def test_files_of_a_source_that_was_left_meanwhile_do_not_stay_in_memory_either(
    two_cases: AppTest, uploads: MemoryUploadedFileManager
) -> None:
    page = two_cases
    for source in ("Example", "Files"):
        page.segmented_control(key="source").set_value(source).run()
    assert count(uploads) == 2
    next(button for button in page.button if button.label == "Remove these files").click().run()
    assert not page.exception
    assert count(uploads) == 0
