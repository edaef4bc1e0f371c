"""What the benchmarks say of differences must be true: each comparison is shown something that differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import compare_tiling, exactness
from benchmarks.compare_clahe import ARRAY, KORNIA, OPENCV, TENSOR, Difference, clahe_rows, kornia_difference
from benchmarks.compare_tiling import EXACT, MONAI, WHOLE, TilingDifference, tiled, tiling_rows
from benchmarks.exactness import clahe_against_opencv, precision_against_fp32, tiling_against_whole
from benchmarks.latency import latency_rows
from benchmarks.subjects import (
    Subject,
    fresh_network,
    missing_device,
    mosaic,
    phantom_slices,
    shipped_subjects,
    standard_subjects,
)
from benchmarks.timing import Effort
from core import model_store
from core.inference import devices
from core.inference.engines.torch_engine import TorchEngine
from core.preprocess.clahe import clahe

ONCE = Effort(warm_up=0, least=1, most=1, seconds=0.0)
TINY = Subject("nested-unet", (4, 6, 8))


def test_a_difference_of_pictures_is_a_share_and_grey_levels() -> None:
    one = np.zeros((1, 2, 5), np.uint8)
    other = one.copy()
    other[0, 0, :2] = 3, 255
    assert Difference.between(other, one) == Difference.between(one, other) == Difference(0.2, 255)


def test_a_difference_of_logits_is_told_for_logits_all_pixels_and_the_lesion() -> None:
    whole = torch.tensor([[[[1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]]]])
    other = whole.clone()
    other[..., 0] = -2.0
    assert TilingDifference.between(whole, other) == TilingDifference(3.0, 0.125, 0.5)
    nothing = torch.full((1, 1, 1, 4), -1.0)
    assert TilingDifference.between(nothing, nothing) == TilingDifference(0.0, 0.0, 0.0)


def test_clahe_rows_say_that_metseg_equals_opencv_and_kornia_does_not() -> None:
    rows = {row.what: row for row in clahe_rows("cpu", ONCE, batch=2, side=96)}
    assert rows[ARRAY].note == rows[TENSOR].note == "equal to OpenCV in every pixel"
    difference = kornia_difference(phantom_slices(2, 96))
    assert difference.share > 0.01
    assert f"{difference.share * 100:.2g} %" in rows[KORNIA].note
    assert rows[OPENCV].timing is not None
    assert rows[TENSOR].ratio is not None


def test_the_clahe_check_finds_a_single_wrong_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    right = clahe_against_opencv("cpu", 30, 40)
    assert right["most"] == 0
    assert right["uint8"]["pictures"] + right["uint16"]["pictures"] == 30

    def wrong(images: torch.Tensor, clip_limit: float, tiles: tuple[int, int]) -> torch.Tensor:
        answer = clahe(images, clip_limit, tiles)
        if answer.dtype == torch.uint8:
            answer[0, 0, 0] ^= 1
        return answer

    monkeypatch.setattr(exactness, "clahe", wrong)
    found = clahe_against_opencv("cpu", 30, 40)
    assert found["most"] == found["uint8"]["most"] == 1
    assert found["uint16"]["pixels_that_differ"] == 0


def test_the_tiling_check_covers_every_depth_and_tells_a_wrong_halo(monkeypatch: pytest.MonkeyPatch) -> None:
    told = list(tiling_against_whole([TINY], "cpu", 2, (180, 120)))
    assert [entry["what"] for entry in told] == [f"{TINY.name} L2", f"{TINY.name} L1"]
    for entry in told:
        assert entry["of_them_in_several_windows"] == 1
        assert entry["float64"] < 1e-10
        assert 0 < entry["error_of_float32"] < 1e-3

    def hasty(forward: Any, pictures: torch.Tensor, window: int, halo: int, grid: int) -> torch.Tensor:
        return tiled(forward, pictures, window, 0, grid)

    monkeypatch.setattr(exactness, "tiled", hasty)
    wrong = next(tiling_against_whole([TINY], "cpu", 2, (180, 120)))
    assert wrong["float32"] > 1e-2
    assert wrong["float64"] > 1e-2


def test_tiling_rows_tell_times_as_multiples_of_monai_and_how_masks_differ() -> None:
    rows = {row.what: row for row in tiling_rows(TINY, "cpu", ONCE, side=128, window=96)}
    assert set(rows) == {WHOLE, EXACT, MONAI}
    assert all(row.timing for row in rows.values())
    assert rows[EXACT].ratio_to == MONAI
    assert "from the whole picture logits differ by up to" in rows[MONAI].note


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that holds one picture of 96² at a time."""
    plain = TorchEngine._forward

    def forward(engine: TorchEngine, images: torch.Tensor) -> torch.Tensor:
        if max(engine.batch, len(images)) * images.shape[-1] * images.shape[-2] > 96 * 96:
            raise torch.OutOfMemoryError
        return plain(engine, images)

    monkeypatch.setattr(TorchEngine, "_forward", forward)


@pytest.mark.usefixtures("small_memory")
def test_what_memory_does_not_hold_is_said_in_the_rows() -> None:
    whole, *others = tiling_rows(TINY, "cpu", ONCE, side=128, window=96)
    assert (whole.timing, whole.what) == (None, WHOLE)
    assert "do not fit" in whole.note
    assert [row.what for row in others if row.timing] == [EXACT, MONAI]
    assert not any("differ" in row.note for row in others)
    rows = list(tiling_rows(TINY, "cpu", ONCE, side=256, window=176))
    assert [(row.timing, row.what) for row in rows] == [(None, WHOLE), (None, EXACT)]
    rows = list(latency_rows([TINY], "cpu", ONCE, batches=(1, 4), side=96))
    assert all(row.timing for row in rows)
    assert {(row.batch, row.note) for row in rows} == {(1, ""), (4, "memory holds 1 a call")}


def test_a_picture_that_might_not_fit_into_memory_is_not_tried_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_tiling, "WHOLE_BYTES", 1 << 40)
    whole, exact, _ = tiling_rows(TINY, "cpu", ONCE, side=128, window=96)
    assert (whole.timing, whole.what) == (None, WHOLE)
    assert "might not fit" in whole.note
    assert exact.timing


def test_precisions_are_compared_by_their_masks() -> None:
    exact, reduced = precision_against_fp32([TINY], "cpu", ("fp32", "bf16"), 2, 64)
    assert exact["lesion_pixels_that_changed"] == 0
    assert exact["dice"] == 1.0
    assert exact["lesion_pixels"] == reduced["lesion_pixels"] > 0
    assert reduced["largest_difference_in_logits"] > 0
    assert 0.9 < reduced["dice"] <= 1


def test_fresh_networks_answer_both_ways_and_the_same_each_time() -> None:
    picture = torch.from_numpy(phantom_slices(1, 64)[:, None].astype(np.float32) / 255)
    logits = fresh_network("attention-unet", (4, 6, 8))(picture)
    assert 0 < (logits >= 0).float().mean() < 1
    torch.testing.assert_close(logits, fresh_network("attention-unet", (4, 6, 8))(picture), rtol=0, atol=0)


def test_a_mosaic_shows_heads_at_their_own_size() -> None:
    whole = mosaic(300, 520)
    assert whole.shape == (1, 300, 520)
    assert whole.dtype == np.uint8
    heads = phantom_slices(6)
    np.testing.assert_array_equal(whole[0, :256, 256:512], heads[1])
    np.testing.assert_array_equal(whole[0, 256:, :256], heads[3][:44])


def test_shipped_models_are_measured_with_their_own_weights(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, make_model: Callable[..., Path]
) -> None:
    monkeypatch.setattr(model_store, "SHIPPED", tiny_model.parent)
    names = {subject.model for subject in shipped_subjects()}
    assert tiny_model.name in names
    subject = next(subject for subject in shipped_subjects() if subject.model == tiny_model.name)
    expected = model_store.load_network(tiny_model).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in subject.build().state_dict().items())
    assert {subject.network for subject in standard_subjects()} == {"nested-unet", "attention-unet"}


def test_every_depth_precision_and_batch_gets_its_row() -> None:
    rows = list(latency_rows([TINY], "cpu", ONCE, batches=(1, 2), all_depths=True, side=32))
    told = {(row.what, row.precision, row.batch) for row in rows}
    assert told == {
        (f"{TINY.name} L{depth}", precision, batch)
        for depth in (1, 2)
        for precision in ("fp32", "bf16")
        for batch in (1, 2)
    }
    assert all(row.timing for row in rows)


def test_devices_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_device("cpu") is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert missing_device("cuda") == "no CUDA device can be used here"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices, "_answers", lambda device: True)
    assert missing_device("cuda:0") is None
    assert missing_device("cuda:1") == "there is no CUDA device 1"
    monkeypatch.setattr(devices, "_answers", lambda device: False)
    assert "does not compute" in missing_device("cuda:0")
