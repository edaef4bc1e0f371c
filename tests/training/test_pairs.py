"""The preprocessed training set."""

import json
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import astuple

import numpy as np
import pytest
import tifffile

from core.errors import InputError, NothingFound, OutputError
from core.evaluation.patients import parse_rule
from core.io import find_scans, read_mask, read_scan
from core.model_card import PreprocessSettings
from core.preprocess.clahe import clahe
from core.preprocess.levels import find_levels
from core.scan import Scan
from training.pairs import load_pairs, pair_on_grid


def test_the_arrays_hold_what_the_predictor_would_show_the_network(discs, small_preprocessing, tmp_path):
    pairs = load_pairs(discs, small_preprocessing, tmp_path)
    assert pairs.images.shape == (60, 1, 64, 64)
    assert pairs.images.dtype == pairs.truths.dtype == np.uint8
    first = find_scans(discs)[0]
    flair = read_scan(first).voxels[:, 1]
    np.testing.assert_array_equal(pairs.images[:6, 0], clahe(flair, 2.0, (2, 2)))
    assert pairs.levels.shape == (60, 1, 2)
    assert tuple(pairs.levels[0, 0]) == pytest.approx(astuple(find_levels(clahe(flair, 2.0, (2, 2)))))
    assert (pairs.levels[:6] == pairs.levels[0]).all()
    np.testing.assert_array_equal(pairs.truths[2] > 0, tifffile.imread(first.mask_paths[2]) > 0)


def test_patients_are_known_by_name(discs, small_preprocessing, tmp_path):
    pairs = load_pairs(discs, small_preprocessing, tmp_path)
    assert sorted(set(pairs.patients.tolist()))[:2] == ["TCGA_CS_4000", "TCGA_CS_4002"]
    assert len(pairs.of(["TCGA_CS_4000", "TCGA_CS_4002"])) == 12


def test_the_second_time_nothing_is_read_anew(discs, small_preprocessing, tmp_path):
    seen = []
    first = load_pairs(discs, small_preprocessing, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (10, 10)
    seen.clear()
    again = load_pairs(discs, small_preprocessing, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == []
    assert again.key == first.key
    assert load_pairs(discs, PreprocessSettings(size=32), tmp_path).key != first.key


def test_what_is_smaller_than_the_grid_is_centred_with_an_empty_margin(discs, tmp_path):
    narrow = tmp_path / "set" / "case"
    narrow.mkdir(parents=True)
    for number in (1, 2):
        tifffile.imwrite(narrow / f"case_{number}.tif", np.full((64, 32), 9, np.uint8))
        tifffile.imwrite(narrow / f"case_{number}_mask.tif", np.full((64, 32), 255, np.uint8))
    pairs = load_pairs(tmp_path / "set", PreprocessSettings(size=64), tmp_path / "cache")
    assert pairs.truths[0].sum() == 64 * 32
    assert pairs.truths[0, :, 16:48].all()
    assert np.unique(pairs.images[0]).size == 1


def test_a_scan_that_its_spacing_makes_larger_than_the_grid_is_said():
    scan = Scan("big", np.zeros((2, 1, 64, 64), np.uint8), spacing_mm=(5.0, 2.0, 2.0))
    with pytest.raises(InputError, match="128 × 128 pixels, and training takes 64") as error:
        pair_on_grid(scan, np.zeros((2, 64, 64), np.bool_), PreprocessSettings(size=64, reference_mm=1.0))
    assert error.value.source == "big"


def test_a_folder_without_pairs_is_said(tmp_path):
    tifffile.imwrite(tmp_path / "case_1.tif", np.zeros((8, 8), np.uint8))
    with pytest.raises(NothingFound, match="no image with its mask"):
        load_pairs(tmp_path, PreprocessSettings(), tmp_path / "cache")


def test_a_patient_under_two_names_is_refused_by_content(discs, small_preprocessing, tmp_path):
    shutil.copytree(discs, tmp_path / "set")
    first = find_scans(tmp_path / "set")[0]
    stranger = tmp_path / "set" / "TCGA_HT_9999_20000101"
    stranger.mkdir()
    for number, (image, mask) in enumerate(zip(first.paths, first.mask_paths, strict=True), start=1):
        shutil.copy(image, stranger / f"{stranger.name}_{number}.tif")
        shutil.copy(mask, stranger / f"{stranger.name}_{number}_mask.tif")
    with pytest.raises(InputError, match="two patients share images"):
        load_pairs(tmp_path / "set", small_preprocessing, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_the_arrays_are_those_of_all_cases_one_after_another(discs, small_preprocessing, tmp_path):
    key = load_pairs(discs, small_preprocessing, tmp_path).key
    pairs = [pair_on_grid(read_scan(case), read_mask(case), small_preprocessing) for case in find_scans(discs)]
    images, truths, levels = zip(*pairs, strict=True)
    each_slice = [level for level, image in zip(levels, images, strict=True) for _ in image]
    for name, whole in (("images", np.concatenate(images)), ("truths", np.concatenate(truths)), ("levels", each_slice)):
        np.save(tmp_path / "expected.npy", whole)
        assert (tmp_path / key / f"{name}.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes(), name


def test_what_a_killed_build_left_is_built_anew(discs, small_preprocessing, tmp_path):
    first = load_pairs(discs, small_preprocessing, tmp_path / "whole")
    left = tmp_path / "killed" / first.key
    left.mkdir(parents=True)
    for name in ("images.npy", "truths.npy"):
        whole = (tmp_path / "whole" / first.key / name).read_bytes()
        (left / name).write_bytes(whole[: len(whole) // 2])
    again = load_pairs(discs, small_preprocessing, tmp_path / "killed")
    assert again.key == first.key
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.truths, first.truths)


def test_a_build_that_is_broken_off_leaves_nothing_that_passes_for_whole(discs, small_preprocessing, tmp_path):
    def stop(done, total):
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_pairs(discs, small_preprocessing, tmp_path, progress=stop)
    assert not list(tmp_path.rglob("*.npy"))
    assert load_pairs(discs, small_preprocessing, tmp_path).images.shape == (60, 1, 64, 64)


def test_a_cache_that_cannot_be_written_is_said_and_nothing_is_left_there(discs, small_preprocessing, tmp_path):
    resource = pytest.importorskip("resource", reason="this system has no limit for the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        with pytest.raises(OutputError, match="cannot be written") as error:
            load_pairs(discs, small_preprocessing, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.source == str(tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
    key = load_pairs(discs, small_preprocessing, tmp_path).key
    (tmp_path / "other" / f"{key}.lock").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written"):
        load_pairs(discs, small_preprocessing, tmp_path / "other")


def test_the_fingerprint_goes_by_what_is_learnt_from_and_the_key_by_files(discs, small_preprocessing, tmp_path):
    first = load_pairs(discs, small_preprocessing, tmp_path / "cache")
    shutil.copytree(discs, tmp_path / "set", copy_function=shutil.copy)
    copied = load_pairs(tmp_path / "set", small_preprocessing, tmp_path / "cache")
    assert copied.key != first.key
    assert copied.fingerprint == first.fingerprint
    mask = find_scans(tmp_path / "set")[0].mask_paths[2]
    tifffile.imwrite(mask, np.flipud(tifffile.imread(mask)))
    assert load_pairs(tmp_path / "set", small_preprocessing, tmp_path / "cache").fingerprint != first.fingerprint
    other = load_pairs(discs, small_preprocessing, tmp_path / "cache", rule=parse_rule("TCGA_(CS|DU)_"))
    assert other.fingerprint != first.fingerprint


def test_memory_does_not_hold_the_set(discs, tmp_path):
    tracemalloc.start()
    try:
        # What counts is the most that is held after the last case.
        pairs = load_pairs(
            discs, PreprocessSettings(size=256), tmp_path, progress=lambda done, total: tracemalloc.reset_peak()
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < pairs.images.nbytes + pairs.truths.nbytes


def test_an_expression_tells_patients(discs, small_preprocessing, tmp_path):
    rule = parse_rule("TCGA_(CS|DU)_")
    assert set(load_pairs(discs, small_preprocessing, tmp_path, rule=rule).patients.tolist()) == {"CS", "DU"}


def test_two_processes_that_need_the_same_pairs_do_not_disturb_each_other(discs, small_preprocessing, tmp_path):
    code = (
        "import sys; from pathlib import Path; from core.model_card import PreprocessSettings;"
        "from training.pairs import load_pairs;"
        f"pairs = load_pairs(Path({str(discs)!r}), {small_preprocessing!r}, Path({str(tmp_path)!r}));"
        "print(int(pairs.images[:].astype('int64').sum()))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    sums = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sums[0] == sums[1] != ""


def test_nnunets_channel_is_called_what_its_file_says(discs, small_preprocessing, tmp_path):
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for number, source in enumerate(find_scans(discs)[:3]):
        flair = tifffile.imread(source.paths[2])[..., 1]
        for channel, picture in enumerate((flair, 255 - flair)):
            tifffile.imwrite(tmp_path / "set" / "imagesTr" / f"p{number}_{channel:04d}.tif", picture)
        shutil.copy(source.mask_paths[2], tmp_path / "set" / "labelsTr" / f"p{number}.tif")
    names = json.dumps({"channel_names": {"0": "T2-FLAIR", "1": "T1ce"}})
    (tmp_path / "set" / "dataset.json").write_text(names)
    rule = parse_rule(None, each_image=True)
    for channel, called in ((None, "flair"), ("T1ce", "t1ce"), (1, "t1ce")):
        pairs = load_pairs(tmp_path / "set", small_preprocessing, tmp_path / "cache", rule=rule, channel=channel)
        assert pairs.channels == (called,)


def test_how_many_cases_are_left_out_is_told(discs, small_preprocessing, tmp_path):
    shutil.copytree(discs, tmp_path / "set")
    next((tmp_path / "set").glob("*/*_1_mask.tif")).unlink()
    told = []
    load_pairs(tmp_path / "set", small_preprocessing, tmp_path / "cache", tell=told.append)
    assert [text.partition(" (")[0] for text in told] == [
        "Left out: 1 case that lacks the channel, or the mask of one or more images"
    ]
