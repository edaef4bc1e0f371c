import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from core.errors import InputError, NothingFound
from core.io import find_scans, masks_without_image, missing_masks, natural_key, read_scan


def put(folder: Path, *names: str) -> None:
    """Empty files: a search opens no picture."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder):
    return {
        source.name: [path.relative_to(folder).as_posix() for path in source.paths] for source in find_scans(folder)
    }


def masks(source, folder):
    return [path and path.relative_to(folder).as_posix() for path in source.mask_paths]


def codes(source):
    return {note.code for note in source.notes}


@pytest.mark.parametrize("above", ["", "kaggle_3m/", "a/b/c/"])
def test_the_lgg_layout_gives_cases_with_slices_in_numeric_order(tmp_path, above):
    for case in ("TCGA_CS_1_20000101", "TCGA_HT_2_19990202"):
        put(
            tmp_path,
            *(f"{above}{case}/{case}_{n}{end}.tif" for n in (10, 1, 2, 9, 8, 7, 6, 5, 4, 3) for end in ("", "_mask")),
        )
    put(tmp_path, f"{above}README.md", f"{above}data.csv")
    sources = find_scans(tmp_path)
    assert [source.name for source in sources] == ["TCGA_CS_1_20000101", "TCGA_HT_2_19990202"]
    case = f"{above}TCGA_CS_1_20000101/TCGA_CS_1_20000101"
    assert found(tmp_path)["TCGA_CS_1_20000101"] == [f"{case}_{n}.tif" for n in range(1, 11)]
    assert masks(sources[0], tmp_path) == [f"{case}_{n}_mask.tif" for n in range(1, 11)]
    assert sources[0].has_truth
    assert sources[0].notes == ()


def test_a_case_folder_itself_is_a_case(tmp_path):
    put(tmp_path, "C/C_1.tif", "C/C_2.tif")
    assert list(found(tmp_path / "C")) == ["C"]


def test_cases_come_in_natural_order(tmp_path):
    put(tmp_path, *(f"P_{n}/P_{n}_1.tif" for n in (10, 9, 2, 1)))
    assert list(found(tmp_path)) == ["P_1", "P_2", "P_9", "P_10"]


def test_loose_slices_form_a_case(tmp_path):
    put(tmp_path, "A_1.png", "A_2.png", "A_10.png", "A_2_mask.png", "B_1.png", "B_2.png", "lone.png")
    assert found(tmp_path) == {
        "A": ["A_1.png", "A_2.png", "A_10.png"],
        "B": ["B_1.png", "B_2.png"],
        "lone": ["lone.png"],
    }


def test_a_lone_numbered_file_keeps_its_name(tmp_path):
    put(tmp_path, "scan_2.png")
    assert list(found(tmp_path)) == ["scan_2"]


def test_bare_numbers_are_slices_of_their_folder_but_patients_below_images(tmp_path):
    put(tmp_path, "patient7/2.png", "patient7/10.png", "patient7/1.png")
    put(tmp_path, "set/images/1.png", "set/images/2.png", "set/masks/1.png", "set/masks/2.png")
    assert found(tmp_path) == {
        "1": ["set/images/1.png"],
        "2": ["set/images/2.png"],
        "patient7": ["patient7/1.png", "patient7/2.png", "patient7/10.png"],
    }


def test_a_date_is_not_the_number_of_a_slice(tmp_path):
    put(tmp_path, "P_19990101.tif", "P_20000101.tif")
    assert list(found(tmp_path)) == ["P_19990101", "P_20000101"]


def test_a_gap_in_the_numbers_is_said(tmp_path):
    put(tmp_path, "A_4.png", "A_5.png", "B_4.png", "B_6.png")
    assert {source.name: codes(source) for source in find_scans(tmp_path)} == {"A": set(), "B": {"slice-gap"}}


def test_images_and_masks_side_by_side_are_paired_by_name(tmp_path):
    put(tmp_path, "images/x.jpg", "images/y.png", "images/z.tif", "masks/x.png", "masks/y_mask.png", "masks/other.png")
    sources = {source.name: source for source in find_scans(tmp_path)}
    assert {name: masks(source, tmp_path) for name, source in sources.items()} == {
        "x": ["masks/x.png"],
        "y": ["masks/y_mask.png"],
        "z": [None],
    }
    assert codes(sources["x"]) == set()
    assert codes(sources["z"]) == {"missing-masks"}
    assert missing_masks(sources["z"]) == (tmp_path / "images/z.tif",)
    assert masks_without_image(tmp_path) == (tmp_path / "masks/other.png",)


def test_names_below_images_form_cases_by_patient(tmp_path):
    names = ["M-230-000_1057.jpg", "M-230-000_1067.jpg", "M-232-000_1051.jpg", "M-232-000_1052.jpg"]
    put(tmp_path, *(f"{folder}/{name}" for folder in ("images", "masks") for name in names))
    sources = find_scans(tmp_path)
    assert [(source.name, len(source.paths), source.has_truth) for source in sources] == [
        ("M-230-000", 2, True),
        ("M-232-000", 2, True),
    ]
    assert [codes(source) for source in sources] == [{"slice-gap"}, set()]


def test_folders_below_images_find_their_counterparts(tmp_path):
    put(tmp_path, "Images/p/s_1.png", "Images/p/s_2.png", "Masks/p/s_1.png", "Masks/p/s_2.png", "Masks/q/t.png")
    (source,) = find_scans(tmp_path)
    assert masks(source, tmp_path) == ["Masks/p/s_1.png", "Masks/p/s_2.png"]
    assert masks_without_image(tmp_path) == (tmp_path / "Masks/q/t.png",)


def test_the_folder_images_alone_finds_the_masks_beside_it(tmp_path, monkeypatch):
    put(tmp_path, "images/x.jpg", "masks/x.png")
    monkeypatch.chdir(tmp_path / "images")
    for folder in (tmp_path / "images", Path()):
        (source,) = find_scans(folder)
        assert source.has_truth


def test_a_folder_called_masks_without_images_is_an_ordinary_one(tmp_path):
    put(tmp_path, "masks/x.png")
    assert list(found(tmp_path)) == ["x"]


def test_a_missing_mask_is_counted_and_named(tmp_path):
    put(tmp_path, "C/C_1.tif", "C/C_2.tif", "C/C_3.tif", "C/C_2_mask.tif")
    (source,) = find_scans(tmp_path)
    assert [note.message for note in source.notes] == ["2 of 3 images have no ground-truth mask"]
    assert missing_masks(source) == (tmp_path / "C/C_1.tif", tmp_path / "C/C_3.tif")
    assert not source.has_truth


def test_where_nobody_has_a_mask_none_is_missed(tmp_path):
    put(tmp_path, "C/C_1.tif", "C/C_2.tif")
    (source,) = find_scans(tmp_path)
    assert source.notes == ()
    assert len(missing_masks(source)) == 2


def test_a_mask_without_image_is_said_and_never_read(tmp_path):
    put(tmp_path, "C/C_1.tif", "C/C_2.tif", "C/C_1_mask.tif", "C/C_2_mask.tif", "C/C_9_mask.tif", "x_mask.png")
    (source,) = find_scans(tmp_path)
    assert len(source.paths) == 2
    assert codes(source) == {"masks-without-image"}
    assert masks_without_image(tmp_path) == (tmp_path / "C/C_9_mask.tif", tmp_path / "x_mask.png")


def test_a_mask_of_the_same_kind_is_preferred(tmp_path):
    put(tmp_path, "a.tif", "a_mask.png", "a_mask.tif", "b.png", "b_mask.tif")
    assert [masks(source, tmp_path) for source in find_scans(tmp_path)] == [["a_mask.tif"], ["b_mask.tif"]]


def test_what_is_no_scan_is_passed_over(tmp_path):
    put(tmp_path, "a.png", ".hidden.png", "._a.png", "Thumbs.db", "__MACOSX/._a.png", "__MACOSX/b.png", ".git/c.png")
    put(tmp_path, "notes.txt", "a_overlay.png", "a_probability.tif", "movie.gif")
    (tmp_path / "folder.png").mkdir()
    assert found(tmp_path) == {"a": ["a.png"]}


def test_results_of_metseg_are_never_read(tmp_path):
    put(tmp_path, "in/a.png", "out/a/a_mask.png", "out/a/slice.png", "out/b/slice.png", "other/b.png")
    (tmp_path / "out/manifest.json").write_text('{"versions": {"metseg": "0.1.0"}}')
    (tmp_path / "other/manifest.json").write_text('{"files": []}')
    assert found(tmp_path) == {"a": ["in/a.png"], "b": ["other/b.png"]}
    with pytest.raises(NothingFound, match="results of metseg"):
        find_scans(tmp_path / "out")


def test_equal_names_get_their_folders_in_front(tmp_path):
    put(tmp_path, "h1/scan.png", "h2/Scan.png", "h2/deep/scan.png", "other.png")
    names = list(found(tmp_path))
    assert names == ["h1_scan", "h2_deep_scan", "h2_Scan", "other"]


def test_names_are_unique_whatever_they_are(tmp_path):
    put(tmp_path, "a/x.png", "a/x.tif", "a/X.jpg", "a_x.png", "x/x_1.png", "x/x_1.tif")
    names = [source.name.casefold() for source in find_scans(tmp_path)]
    assert len(set(names)) == len(names) == 6


def test_a_single_file_is_a_case_with_its_mask(tmp_path):
    put(tmp_path, "a.tif", "a_mask.tif", "b.tif", "images/c.png", "masks/c.png")
    for name, mask in (("a.tif", "a_mask.tif"), ("b.tif", None), ("images/c.png", "masks/c.png")):
        (source,) = find_scans(tmp_path / name)
        assert source.paths == (tmp_path / name,)
        assert masks(source, tmp_path) == [mask]


def test_files_of_several_pages_are_cases_of_their_own(tmp_path):
    stack = np.zeros((3, 4, 4), np.uint8)
    for name in ("p_1.tif", "p_2.tif"):
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack")
    for name in ("q_1.tif", "q_2.tif"):
        tifffile.imwrite(tmp_path / name, stack[0], bigtiff=True)
    assert list(found(tmp_path)) == ["p_1", "p_2", "q"]
    assert read_scan(find_scans(tmp_path)[0]).shape == (3, 4, 4)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", "<>")
def test_several_pages_are_seen_in_every_flavour(tmp_path, bigtiff, byteorder):
    for name in ("p_1.tif", "p_2.tif"):
        tifffile.imwrite(
            tmp_path / name, np.zeros((2, 4, 4)), photometric="minisblack", bigtiff=bigtiff, byteorder=byteorder
        )
    assert list(found(tmp_path)) == ["p_1", "p_2"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_that_run_in_a_circle_end(tmp_path):
    put(tmp_path, "a/x.png")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    assert list(found(tmp_path)) == ["x"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_passed_over_and_a_broken_link_is_not(tmp_path):
    put(tmp_path, "a.png")
    for name in ("pipe", "pipe.tif", "c_1.tif"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    assert found(tmp_path) == {"a": ["a.png"], "lost": ["lost.png"]}


def test_nothing_is_said_in_a_sentence(tmp_path):
    put(tmp_path, "notes.txt")
    with pytest.raises(NothingFound, match="no picture"):
        find_scans(tmp_path)
    with pytest.raises(NothingFound, match="no such folder"):
        find_scans(tmp_path / "absent")


def test_a_folder_that_cannot_be_opened_is_a_case_that_cannot_be_read(tmp_path, monkeypatch):
    put(tmp_path, "good/x.png", "locked/y.png")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    sources = find_scans(tmp_path)
    assert [source.name for source in sources] == ["locked", "x"]
    with pytest.raises(InputError, match="folder cannot be read"):
        read_scan(sources[0])
    with pytest.raises(InputError, match="Permission denied"):
        find_scans(tmp_path / "locked")


def test_notes_hold_no_name(tmp_path):
    put(tmp_path, "secret_1.png", "secret_3.png", "secret_1_mask.png", "secret_9_mask.png")
    (source,) = find_scans(tmp_path)
    assert codes(source) == {"missing-masks", "masks-without-image", "slice-gap"}
    assert not any("secret" in note.message for note in source.notes)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["s_10", "s_9", "S_1"], ["S_1", "s_9", "s_10"]),
        (["b", "a", "1"], ["1", "a", "b"]),
        (["a2b10", "a2b9", "a10"], ["a2b9", "a2b10", "a10"]),
    ],
)
def test_natural_order_is_how_people_count(names, expected):
    assert sorted(names, key=natural_key) == expected


def test_thousands_of_cases_are_found_without_opening_them(tmp_path, monkeypatch):
    for case in range(2000):
        folder = tmp_path / f"C_{case}"
        folder.mkdir()
        for name in ("_1.tif", "_1_mask.tif"):
            os.close(os.open(folder / f"C_{case}{name}", os.O_CREAT))

    def refuse(*arguments, **options):
        raise AssertionError("a file was opened")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    started = time.perf_counter()
    assert len(find_scans(tmp_path)) == 2000
    assert (
        time.perf_counter() - started < 30
    )  # a quarter of a second as a rule; this only tells that nothing is quadratic


def test_numbers_of_any_length_are_sorted():
    names = ["s" + "9" * 5000, "s10", "s" + "1" * 5000, "s007", "s8"]
    assert sorted(names, key=natural_key) == ["s007", "s8", "s10", "s" + "1" * 5000, "s" + "9" * 5000]


def test_bare_numbers_in_a_patients_folder_below_images_are_slices(tmp_path):
    names = [f"{patient}/{number}.png" for patient in ("p1", "p2") for number in (1, 2, 10)]
    put(tmp_path, *(f"{folder}/{name}" for folder in ("images", "masks") for name in names))
    sources = find_scans(tmp_path)
    assert found(tmp_path)["p1"] == ["images/p1/1.png", "images/p1/2.png", "images/p1/10.png"]
    assert [(source.name, source.has_truth) for source in sources] == [("p1", True), ("p2", True)]


def test_a_file_called_mask_is_the_mask_of_the_picture_beside_it(tmp_path):
    put(tmp_path, "c1/flair.png", "c1/mask.png", "many/s_1.png", "many/s_2.png", "many/mask.png")
    sources = {source.name: source for source in find_scans(tmp_path)}
    assert masks(sources["flair"], tmp_path) == ["c1/mask.png"]
    assert masks(sources["s"], tmp_path) == [None, None]
    assert list(sources) == ["flair", "s"]
    assert masks_without_image(tmp_path) == (tmp_path / "many/mask.png",)
