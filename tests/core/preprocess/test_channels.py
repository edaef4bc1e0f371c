"""Which channels a model gets, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import ChannelNeeded, InputError
from core.io import read_scan
from core.preprocess.channels import COLOURS, JPEG_NOISE, LGG_LAYOUT, channel_name, select_channels
from core.scan import Scan

FLAIR = ("flair",)


def noise(channels: int, slices: int = 3, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(channels).integers(0, 200, (slices, channels, 12, 10)).astype(dtype)


def codes(notes: tuple[Any, ...]) -> list[str]:
    return [note.code for note in notes]


@pytest.mark.parametrize("names", [(), ("t1",), ("FLAIR",)])
def test_the_only_channel_is_taken_whatever_its_name(names: tuple[str, ...]) -> None:
    voxels = noise(1)
    taken, notes = select_channels(Scan("case", voxels, channels=names), FLAIR)
    assert taken is voxels
    assert notes == ()


def test_three_unequal_channels_without_names_are_the_lgg_layout() -> None:
    voxels = noise(3)
    taken, notes = select_channels(Scan("case", voxels), FLAIR)
    assert np.array_equal(taken, voxels[:, 1:2])
    assert codes(notes) == ["lgg-channels"]


def test_one_channel_is_taken_as_a_view() -> None:
    voxels = noise(3)
    assert np.shares_memory(select_channels(Scan("case", voxels), FLAIR)[0], voxels)


def test_a_grey_slice_in_an_lgg_case_does_not_change_the_choice() -> None:
    voxels = noise(3)
    voxels[0] = voxels[0, :1]
    taken, notes = select_channels(Scan("case", voxels), FLAIR)
    assert np.array_equal(taken, voxels[:, 1:2])
    assert codes(notes) == ["lgg-channels"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("names", [(), COLOURS, ("a", "b", "c")])
def test_equal_channels_are_grey(names: tuple[str, ...], dtype: Any) -> None:
    voxels = np.repeat(noise(1, dtype=dtype), 3, axis=1)
    taken, notes = select_channels(Scan("case", voxels, channels=names), FLAIR)
    assert np.array_equal(taken, voxels[:, :1])
    assert notes == ()


def test_equal_channels_with_nan_are_grey() -> None:
    voxels = np.repeat(noise(1, dtype=np.float32), 3, axis=1)
    voxels[0, :, 0, 0] = np.nan
    assert select_channels(Scan("case", voxels, channels=COLOURS), FLAIR)[1] == ()


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_a_grey_jpeg_stored_in_colour_is_grey(quality: int) -> None:
    grey = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8), (5, 5), 0)
    for _ in range(2):  # stored twice, as pictures are that went through someone's slides
        data = cv2.imencode(".jpg", np.repeat(grey[:, :, None], 3, axis=2), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        colour = cv2.imdecode(data, cv2.IMREAD_COLOR)
        grey = colour[:, :, 0]
    scan = Scan("picture", colour.transpose(2, 0, 1)[None], channels=COLOURS)
    assert select_channels(scan, FLAIR)[1] == ()


def test_channels_count_as_grey_up_to_the_noise_and_no_further() -> None:
    voxels = np.full((1, 3, 4, 4), 100, np.uint8)
    voxels[0, 2, 1, 1] += JPEG_NOISE
    assert select_channels(Scan("picture", voxels, channels=COLOURS), FLAIR)[0].shape == (1, 1, 4, 4)
    voxels[0, 2, 1, 1] += 1
    with pytest.raises(ChannelNeeded):
        select_channels(Scan("picture", voxels, channels=COLOURS), FLAIR)


def test_wide_values_have_no_jpeg_noise() -> None:
    voxels = np.full((1, 3, 4, 4), 1000, np.int16)
    voxels[0, 2, 1, 1] += 1
    with pytest.raises(ChannelNeeded):
        select_channels(Scan("picture", voxels, channels=COLOURS), FLAIR)


def test_a_coloured_picture_needs_a_choice_and_is_told_which() -> None:
    with pytest.raises(ChannelNeeded) as caught:
        select_channels(Scan("secret-name", noise(3), channels=COLOURS), FLAIR)
    assert "choose a channel" in caught.value.detail
    assert "--" not in caught.value.detail  # a page has no options of a command line
    assert "0 (red), 1 (green), 2 (blue)" in caught.value.detail
    assert "coloured" in caught.value.detail
    assert "secret-name" not in caught.value.detail
    assert caught.value.source == "secret-name"


@pytest.mark.parametrize("count", [2, 4, 30])
def test_other_numbers_of_unequal_channels_need_a_choice(count: int) -> None:
    with pytest.raises(ChannelNeeded, match=f"the {count} channels") as caught:
        select_channels(Scan("case", noise(count)), FLAIR)
    assert str(count - 1) in caught.value.detail
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(("names", "choice", "index"), [
    ((), 0, 0), ((), "2", 2), ((), " 1 ", 1), ((), "Post", 2), ((), np.int64(1), 1),
    (COLOURS, "red", 0), (COLOURS, "BLUE", 2), (COLOURS, 1, 1),
    (("T1", "FLAIR", "T2"), "flair", 1), (("7", "1", "0"), "1", 1), (("7", "1", "0"), "7", 0),
])  # fmt: skip
def test_a_choice_is_an_index_or_a_name(names: tuple[str, ...], choice: Any, index: int) -> None:
    voxels = noise(3)
    taken, notes = select_channels(Scan("case", voxels, channels=names), FLAIR, choice)
    assert np.array_equal(taken, voxels[:, index : index + 1])
    assert notes == ()


@pytest.mark.parametrize("choice", [3, -1, "3", "-1", "+1", "1_0", "", "flairs", "²", "9" * 5000, True, 0.5])
def test_an_impossible_choice_lists_what_there_is(choice: Any) -> None:
    with pytest.raises(InputError, match=r"0 \(pre\), 1 \(flair\), 2 \(post\)") as caught:
        select_channels(Scan("case", noise(3)), FLAIR, choice)
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(("choice", "codes"), [(0, []), ("0", []), (1, ["only-channel"]), ("green", ["only-channel"])])
def test_a_grey_scan_among_coloured_ones_is_taken_as_it_is(choice: int | str, codes: list[str]) -> None:
    voxels = noise(1)
    taken, notes = select_channels(Scan("case", voxels), FLAIR, choice)
    assert np.array_equal(taken, voxels)
    assert [note.code for note in notes] == codes
    assert channel_name(Scan("case", voxels), choice) == "channel 0"
    for strange in (7, "t9"):
        with pytest.raises(InputError, match=r"no such channel; choose from these: 0$"):
            select_channels(Scan("case", voxels), FLAIR, strange)


def test_channels_are_found_by_name_in_the_models_order() -> None:
    voxels = noise(4)
    scan = Scan("case", voxels, channels=("T1", "FLAIR", "T2", "T1c"))
    assert np.array_equal(select_channels(scan, FLAIR)[0], voxels[:, 1:2])
    assert np.array_equal(select_channels(scan, ("t1c", "flair"))[0], voxels[:, [3, 1]])


def test_a_model_of_three_inputs_takes_the_lgg_layout() -> None:
    voxels = noise(3)
    taken, notes = select_channels(Scan("case", voxels), LGG_LAYOUT)
    assert np.array_equal(taken, voxels)
    assert codes(notes) == ["lgg-channels"]


def test_a_model_of_several_inputs_refuses_what_lacks_them() -> None:
    for scan in (Scan("case", noise(1)), Scan("case", noise(3), channels=COLOURS)):
        with pytest.raises(InputError, match="pre, flair, post, and the scan has these: 0"):
            select_channels(scan, LGG_LAYOUT)
    with pytest.raises(InputError, match="takes 3"):
        select_channels(Scan("case", noise(3)), LGG_LAYOUT, 1)


def test_unnamed_channels_are_no_lgg_layout_for_a_model_of_other_sequences() -> None:
    with pytest.raises(ChannelNeeded):
        select_channels(Scan("case", noise(3)), ("t2",))


@pytest.mark.parametrize(("sequence", "doubted"), [(None, False), ("FLAIR", False), ("T2-FLAIR", False), ("T1w", True)])
def test_another_sequence_is_doubted(sequence: str | None, doubted: bool) -> None:
    scan = Scan("case", noise(1), sequence=sequence)
    for choice in (None, 0):
        notes = select_channels(scan, FLAIR, choice)[1]
        assert codes(notes) == (["other-sequence"] if doubted else [])
        assert not doubted or ("T1w" in notes[0].message and "FLAIR" in notes[0].message)


def test_another_sequence_is_doubted_in_a_grey_picture_of_three_channels_too() -> None:
    grey = np.repeat(noise(1), 3, axis=1)
    for names in (COLOURS, ()):
        assert codes(select_channels(Scan("case", grey, channels=names, sequence="CT"), FLAIR)[1]) == ["other-sequence"]


def test_a_sequence_among_several_channels_says_nothing_of_the_one_that_is_taken() -> None:
    scan = Scan("case", noise(3), sequence="T1w")
    assert "other-sequence" not in codes(select_channels(scan, FLAIR)[1] + select_channels(scan, FLAIR, 1)[1])


def test_a_model_whose_input_is_no_known_sequence_doubts_nothing() -> None:
    assert select_channels(Scan("case", noise(1), sequence="T1w"), ("image",))[1] == ()


@given(st.integers(1, 4), st.integers(1, 6), st.one_of(st.none(), st.integers(-2, 7), st.text(max_size=3)))
def test_every_request_is_answered_with_one_channel_or_refused(slices: int, channels: int, choice: Any) -> None:
    voxels = noise(channels, slices)
    try:
        taken, _ = select_channels(Scan("case", voxels), FLAIR, choice)
    except InputError:
        # One channel is always enough, and so is an index that exists.
        assert channels not in (1, 3) or choice is not None
        assert choice not in range(channels)
        return
    assert taken.shape == (slices, 1, 12, 10)
    assert any(np.array_equal(taken[:, 0], voxels[:, index]) for index in range(channels))


def _file(folder: Path, kind: str, picture: NDArray[np.uint8]) -> Path:
    """Write (H, W, 3) under a suffix that says nothing."""
    path = folder / "picture.dat"
    if kind == "tif":
        tifffile.imwrite(path, picture, photometric="rgb")
    else:
        path.write_bytes(cv2.imencode(f".{kind}", picture[:, :, ::-1])[1].tobytes())
    return path


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_coloured_picture_file_needs_a_choice(kind: str, tmp_path: Path) -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., :] = (200, 100, 20)
    scan = read_scan(_file(tmp_path, kind, picture))
    with pytest.raises(ChannelNeeded, match="coloured"):
        select_channels(scan, FLAIR)
    assert select_channels(scan, FLAIR, "red")[0].mean() == pytest.approx(200, abs=3)


def test_an_unequal_tiff_file_is_the_lgg_layout(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    taken, notes = select_channels(read_scan(_file(tmp_path, "tif", picture)), FLAIR)
    assert np.array_equal(taken[0, 0], picture[..., 1])
    assert codes(notes) == ["lgg-channels"]


@pytest.mark.parametrize("kind", ["png", "jpg", "tif"])
def test_a_grey_file_stored_in_colour_is_grey(kind: str, tmp_path: Path) -> None:
    grey = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16, 1)
    _, notes = select_channels(read_scan(_file(tmp_path, kind, np.repeat(grey, 3, axis=2))), FLAIR)
    assert notes == ()
