"""From a scan to what CLAHE takes, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from core.errors import InputError, TooLarge
from core.model_card import PreprocessSettings
from core.preprocess.channels import COLOURS
from core.preprocess.clahe import clahe
from core.preprocess.prepare import prepare
from core.scan import Scan

# Two slices of 4 × 6; on a grid of 3 pixels each 2 × 2 block becomes its mean.
PICTURE = np.array(
    [
        [[0, 2, 10, 12, 0, 2], [2, 4, 12, 14, 2, 4], [100, 104, 60, 60, 8, 8], [96, 100, 60, 64, 8, 8]],
        [[1, 1, 10, 10, 1, 1], [1, 1, 10, 10, 1, 1], [98, 98, 150, 150, 9, 9], [98, 98, 150, 150, 9, 9]],
    ],
    np.uint8,
)[:, None]  # (S, 1, H, W)
GOLDEN = np.array([[[2, 12, 2], [100, 61, 8]], [[1, 10, 1], [98, 150, 9]]], np.uint8)[:, None]
SETTINGS = PreprocessSettings(size=3)


def as_lgg(voxels: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([voxels // 2, voxels, 255 - voxels], axis=1)


@pytest.mark.parametrize(("voxels", "channels", "choice"), [
    (PICTURE, (), None),
    (np.repeat(PICTURE, 3, axis=1), COLOURS, None),
    (as_lgg(PICTURE), (), None),
    (as_lgg(PICTURE), COLOURS, "green"),
    (as_lgg(PICTURE), COLOURS, 1),
])  # fmt: skip
def test_every_8_bit_encoding_gives_the_golden_bytes(voxels: Any, channels: tuple[str, ...], choice: Any) -> None:
    prepared = prepare(Scan("case", voxels, channels=channels), SETTINGS, choice)
    assert np.array_equal(prepared.images, GOLDEN)
    assert prepared.images.dtype == np.uint8
    assert prepared.grid.source == (4, 6)
    assert prepared.grid.target == (2, 3)


@pytest.mark.parametrize("encode", [
    lambda v: v.astype(np.uint16) * 16,
    lambda v: v.astype(np.int16) - 300,
    lambda v: v.astype(np.int16) * 0.37 + 5,
    lambda v: v.astype(">f4") / 255,
    lambda v: v.astype(np.int64) * 2**40,
])  # fmt: skip
def test_every_wide_encoding_gives_the_same_bytes(encode: Any) -> None:
    expected = prepare(Scan("case", PICTURE.astype(np.float64)), SETTINGS).images
    images = prepare(Scan("case", encode(PICTURE)), SETTINGS).images
    assert np.abs(images.astype(int) - expected).max() <= 1
    assert np.corrcoef(expected.ravel(), GOLDEN.ravel())[0, 1] > 0.999


def test_notes_come_in_the_order_of_the_steps() -> None:
    wide = as_lgg(PICTURE[:1]).astype(np.float32)
    wide[0, 1, 0, 0] = np.nan
    prepared = prepare(Scan("case", wide), SETTINGS)
    assert [note.code for note in prepared.notes] == ["lgg-channels", "values-not-finite", "lone-slice-intensity"]
    assert len(prepared.ranges) == 1


def test_a_choice_of_grid_goes_before_the_cards() -> None:
    assert prepare(Scan("case", PICTURE), SETTINGS, grid="native").images.shape == (2, 1, 4, 6)
    assert prepare(Scan("case", PICTURE), SETTINGS, grid="stretch").images.shape == (2, 1, 3, 3)


def test_in_plane_spacing_is_used_and_doubted_where_the_head_would_be_tiny() -> None:
    settings = PreprocessSettings(reference_mm=0.5)
    head = prepare(Scan("case", np.repeat(PICTURE, 10, axis=2), spacing_mm=(5.0, 1.0, 2.0)), settings)
    assert head.grid.target == (80, 24)
    assert head.grid.mode == "spacing"
    assert head.notes == ()
    tiny = prepare(Scan("case", PICTURE, spacing_mm=(5.0, 1.0, 2.0)), settings)
    assert [note.code for note in tiny.notes] == ["small-field"]


def test_what_cannot_be_prepared_is_refused_by_name() -> None:
    with pytest.raises(InputError) as caught:
        prepare(Scan("case 7", PICTURE, spacing_mm=(None, 1e6, 1e6)), PreprocessSettings(reference_mm=1.0))
    assert caught.value.source == "case 7"
    assert "case 7" not in caught.value.detail


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 1, 1), (3, 1, 1, 300), (2, 1, 7, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64, np.bool_])
@pytest.mark.parametrize("grid", ["auto", "stretch", "native"])
def test_the_smallest_scans_pass(shape: tuple[int, ...], dtype: Any, grid: Any) -> None:
    prepared = prepare(Scan("case", np.ones(shape, dtype)), PreprocessSettings(), grid=grid)
    assert prepared.images.shape == (shape[0], 1, *prepared.grid.target)


def test_a_real_patient_looks_nearly_the_same_to_the_network_when_stored_wider(lgg_root: Path) -> None:
    case = sorted(path for path in lgg_root.iterdir() if path.is_dir())[0]
    files = sorted(path for path in case.glob("*.tif") if "mask" not in path.name)
    voxels = np.stack([tifffile.imread(path).transpose(2, 0, 1) for path in files])
    settings = PreprocessSettings()
    stored = clahe(prepare(Scan("case", voxels), settings).images[:, 0]).astype(int)
    wider = clahe(prepare(Scan("case", voxels * np.float32(12.5)), settings).images[:, 0]).astype(int)
    assert np.corrcoef(stored.ravel(), wider.ravel())[0, 1] > 0.995
    assert np.abs(stored - wider).mean() < 8


def test_a_tiny_scan_that_would_fill_the_memory_on_the_grid_is_refused_before_it_does() -> None:
    """Sparse as it is, it would be gigabytes on the grid; nothing of that may be taken."""
    many = np.broadcast_to(np.uint8(7), (4096, 1, 8, 8))
    with pytest.raises(TooLarge, match=r"^case: .*4,096 slices"):
        prepare(Scan("case", many, spacing_mm=(1.0, 200.0, 200.0)), PreprocessSettings(reference_mm=1.0))
    with pytest.raises(TooLarge, match="split the scan"):
        prepare(Scan("case", many), PreprocessSettings(size=8192))
    with pytest.raises(InputError, match="larger than any head"):
        prepare(Scan("case", many[:24], spacing_mm=(240.0, 300.0, 300.0)), PreprocessSettings(reference_mm=1.0))


def test_a_scan_that_the_grid_makes_no_larger_is_never_too_large_for_it() -> None:
    scan = Scan("case", np.broadcast_to(np.uint8(7), (2, 1, 3000, 3000)))
    assert prepare(scan, SETTINGS, grid="native").images.shape[2:] == (3000, 3000)
