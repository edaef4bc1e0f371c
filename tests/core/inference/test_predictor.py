from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import Cancelled, DeviceUnavailable, ModelNotFound, UsageError
from core.inference import Predictor, predictor
from core.model_card import PreprocessSettings
from core.model_store import load_network
from core.networks import NestedUNet
from core.phantom import make_phantom
from core.preprocess.clahe import clahe, tile_grid
from core.preprocess.intensity import IntensityRange
from core.scan import Note, Scan

PLAIN = PreprocessSettings(grid="native", clip_limit=-1.0)


def noise(slices: int = 2, height: int = 64, width: int = 48, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (slices, 1, height, width), np.uint8)


def a_scan(voxels: NDArray[Any], **fields: Any) -> Scan:
    return Scan("case", voxels, **fields)


@pytest.fixture(scope="module")
def plain_model(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose input is the picture itself: no other grid, no CLAHE."""
    return make_model(tmp_path_factory.mktemp("models") / "plain", preprocessing=PLAIN, seed=1)


class Watching(nn.Module):
    """In place of a network: brighter than half is lesion. `watch` is told each batch it is given."""

    stride, halo = 16, 16

    def __init__(self, watch: Callable[[Tensor], None] = lambda images: None) -> None:
        super().__init__()
        self.watch = watch

    def forward(self, images: Tensor) -> Tensor:
        self.watch(images)
        return 8 * (images[:, :1] - 0.5)


@pytest.fixture
def with_network(plain_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Predictor]:
    """A predictor around a stand-in for the network."""

    def make(network: nn.Module, **options: Any) -> Predictor:
        monkeypatch.setattr(predictor, "load_network", lambda folder, card: network)
        return Predictor(plain_model, "cpu", options.pop("precision", "fp32"), **options)

    return make


@pytest.mark.parametrize("name", ["attention-unet", "nested-unet"])
@torch.inference_mode()
def test_the_answer_is_the_networks_on_the_whole_picture_after_clahe(
    make_model: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    folder = make_model(tmp_path / "model", name, preprocessing=PreprocessSettings(grid="native"))
    voxels = noise(2, 50, 70)
    found = Predictor(folder, "cpu", "fp32").segment(a_scan(voxels))
    equalised = clahe(voxels[:, 0], 2.0, tile_grid(50, 70, 32)).astype(np.float32) / 255
    padded = np.pad(equalised, ((0, 0), (0, 14), (0, 10)), mode="edge")
    expected = load_network(folder)(torch.from_numpy(padded)[:, None]).sigmoid()[:, 0, :50, :70].numpy()
    np.testing.assert_allclose(found.probability, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.mask, found.probability >= 0.5)
    assert 0 < found.mask.mean() < 1
    assert sum(lesion.voxels for lesion in found.lesions) == found.mask.sum()


@pytest.mark.parametrize("grid", ["auto", "fit", "stretch", "native"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 37, 91), (3, 300, 20)])
def test_any_shape_comes_back_on_the_scans_own_grid(tiny_model: Path, grid: Any, shape: tuple[int, int, int]) -> None:
    found = Predictor(tiny_model, "cpu", "fp32").segment(a_scan(noise(*shape)), grid=grid)
    assert found.probability.shape == found.mask.shape == shape
    assert (found.probability.dtype, found.mask.dtype) == (np.float32, np.bool_)
    assert np.isfinite(found.probability).all()
    assert 0 <= found.probability.min() <= found.probability.max() <= 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("batch", [None, 4])
def test_an_images_answer_does_not_depend_on_its_company(tiny_model: Path, precision: str, batch: int | None) -> None:
    ready, voxels = Predictor(tiny_model, "cpu", precision, batch=batch), noise(6)
    together = ready.segment(a_scan(voxels), tta=True, grid="native").probability
    for index in range(6):
        alone = ready.segment(a_scan(voxels[index : index + 1]), tta=True, grid="native").probability
        assert alone.tobytes() == together[index : index + 1].tobytes()


def test_a_picture_larger_than_the_window_gives_the_answer_of_the_whole(
    plain_model: Path, tolerances: dict[str, float]
) -> None:
    scan = a_scan(noise(1, 320, 300))
    whole = Predictor(plain_model, "cpu", "fp32").segment(scan, tta=True)
    tiled = Predictor(plain_model, "cpu", "fp32", window=272).segment(scan, tta=True)
    assert (whole.manifest["tiling"]["tiles"], tiled.manifest["tiling"]["tiles"]) == (1, 4)
    assert np.abs(tiled.probability - whole.probability).max() <= tolerances["tiled probability"]
    blended = Predictor(plain_model, "cpu", "fp32", window=256, blend="gaussian").segment(scan).probability
    plainly = Predictor(plain_model, "cpu", "fp32").segment(scan).probability
    assert 1e-4 < np.abs(blended - plainly).max() < 1
    assert np.isfinite(blended).all()


def test_with_flips_the_answer_is_the_mean_of_the_picture_and_its_mirror(plain_model: Path) -> None:
    ready, voxels = Predictor(plain_model, "cpu", "fp32"), noise()
    once = ready.segment(a_scan(voxels)).probability
    mirrored = ready.segment(a_scan(voxels[..., ::-1])).probability[..., ::-1]
    both = ready.segment(a_scan(voxels), tta=True).probability
    np.testing.assert_array_equal(both, (once + mirrored) / 2)
    assert np.abs(both - once).max() > 0.01


def test_a_voxel_at_the_threshold_is_lesion_and_the_card_says_the_default(
    make_model: Callable[..., Path], tmp_path: Path, with_network: Callable[..., Predictor]
) -> None:
    ready = Predictor(make_model(tmp_path / "model", threshold=0.25), "cpu", "fp32")
    found = ready.segment(a_scan(noise()))
    np.testing.assert_array_equal(found.mask, found.probability >= 0.25)
    value = float(found.probability[0, 5, 5])
    assert ready.segment(a_scan(noise()), threshold=value).mask[0, 5, 5]
    assert ready.segment(a_scan(noise()), threshold=0).mask.all()
    assert ready.segment(a_scan(noise()), threshold=0).manifest["settings"]["threshold"] == 0


@pytest.mark.parametrize("grid", ["native", "fit"])
def test_the_cards_temperature_moves_probabilities_and_leaves_masks(
    make_model: Callable[..., Path], tmp_path: Path, grid: Any
) -> None:
    coarse = replace(PLAIN, shrink=2, size=64)
    scan = a_scan(noise(height=90, width=70))
    plain, calibrated = (
        Predictor(make_model(tmp_path / name, preprocessing=coarse, temperature=temperature), "cpu", "fp32").segment(
            scan, tta=True, grid=grid
        )
        for name, temperature in (("plain", 1.0), ("calibrated", 2.0))
    )
    logits = np.log(plain.probability) - np.log1p(-plain.probability)
    np.testing.assert_allclose(calibrated.probability, 1 / (1 + np.exp(-logits / 2)), atol=1e-6)
    np.testing.assert_array_equal(calibrated.mask, plain.mask)
    assert plain.mask.any()
    assert calibrated.manifest["model"]["temperature"] == 2.0


@pytest.mark.parametrize("shrink", [2, 3])
def test_a_model_of_a_coarser_grid_sees_means_and_its_answer_is_enlarged(
    make_model: Callable[..., Path], tmp_path: Path, shrink: int
) -> None:
    folder = make_model(tmp_path / "model", filters=(4, 6, 8), seed=1, preprocessing=replace(PLAIN, shrink=shrink))
    height, width = 125 * shrink - 1, 66 * shrink - 1
    voxels = noise(height=height, width=width)
    found = Predictor(folder, "cpu", "fp32").segment(a_scan(voxels))
    stride = 16 * shrink
    padded = np.pad(voxels, ((0, 0), (0, 0), (0, -height % stride), (0, -width % stride)), mode="edge") / np.float32(
        255
    )
    means = torch.nn.functional.avg_pool2d(torch.from_numpy(padded), shrink)
    with torch.inference_mode():
        answer = load_network(folder)(means).sigmoid()
    enlarged = torch.nn.functional.interpolate(answer, scale_factor=shrink, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(found.probability, enlarged[:, 0, :height, :width], atol=1e-5)
    assert found.manifest["settings"]["shrink"] == shrink
    tiled = Predictor(folder, "cpu", "fp32", window=96).segment(a_scan(voxels))
    assert tiled.manifest["tiling"]["tiles"] > 1
    np.testing.assert_allclose(tiled.probability, found.probability, atol=1e-5)


def test_on_the_heads_scale_a_faint_copy_gets_the_same_answer_and_a_slice_that_of_its_volume(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    ready = Predictor(make_model(tmp_path / "model", preprocessing=replace(PLAIN, standardise=True)), "cpu", "fp32")
    phantom, _ = make_phantom(3, slices=6)
    faint = replace(phantom, voxels=(np.asarray(phantom.voxels) // 4 * 2 + 30).astype(np.uint8))
    bright = replace(phantom, voxels=(np.asarray(phantom.voxels) // 4 * 4).astype(np.uint8))
    first, second = ready.segment(bright), ready.segment(faint)
    assert np.abs(first.probability - second.probability).max() < 0.1  # rounding to grey levels remains
    (known,) = first.manifest["intensity"]
    assert known["spread"] == pytest.approx(2 * second.manifest["intensity"][0]["spread"], rel=0.1)
    ranges = tuple(IntensityRange(**entry) for entry in first.manifest["intensity"])
    part = replace(bright, voxels=np.asarray(bright.voxels)[4:5])
    np.testing.assert_allclose(ready.segment(part, ranges=ranges).probability, first.probability[4:5], atol=1e-6)
    assert ready.segment(part).manifest["intensity"] != first.manifest["intensity"]


def test_components_below_the_minimum_are_removed(with_network: Callable[..., Predictor]) -> None:
    voxels = np.zeros((1, 1, 32, 32), np.uint8)
    voxels[0, 0, 2:6, 2:6] = voxels[0, 0, 20, 20] = 255
    ready = with_network(Watching())
    assert [lesion.voxels for lesion in ready.segment(a_scan(voxels)).lesions] == [16, 1]
    found = ready.segment(a_scan(voxels), min_lesion=2)
    assert [lesion.voxels for lesion in found.lesions] == [16]
    assert found.mask.sum() == 16
    assert found.probability[0, 20, 20] > 0.5


def test_volume_is_stated_only_where_slices_are_evenly_spaced(with_network: Callable[..., Predictor]) -> None:
    voxels = np.full((2, 1, 16, 16), 255, np.uint8)
    ready = with_network(Watching())
    even = ready.segment(a_scan(voxels, spacing_mm=(2.0, 1.0, 1.0)), grid="native")
    uneven = ready.segment(a_scan(voxels, spacing_mm=(2.0, 1.0, 1.0), slice_positions_mm=(0.0, 7.0)), grid="native")
    assert even.lesions[0].volume_ml == pytest.approx(2 * 16 * 16 * 2 / 1000)
    assert uneven.lesions[0].volume_ml is None


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": float("nan")}, {"threshold": -0.1}, {"threshold": 1.1}, {"threshold": 1e999}, {"min_lesion": -1}],
)
def test_settings_that_make_no_sense_are_refused(tiny_model: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Predictor(tiny_model, "cpu", "fp32").segment(a_scan(noise()), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 3])
def test_progress_rises_to_the_number_of_slices(with_network: Callable[..., Predictor], batch: int) -> None:
    seen: list[tuple[int, int]] = []
    with_network(Watching(), batch=batch).segment(a_scan(noise(7)), progress=lambda *done: seen.append(done))
    assert [total for _, total in seen] == [7] * len(seen)
    done = [count for count, _ in seen]
    assert done == sorted(set(done))
    assert done[-1] == 7
    assert len(done) == -(-7 // batch)


@pytest.mark.parametrize(("tta", "calls_a_slice"), [(False, 1), (True, 2)])
def test_cancelling_stops_before_the_next_call_of_the_network(
    with_network: Callable[..., Predictor], tta: bool, calls_a_slice: int
) -> None:
    calls: list[int] = []
    ready = with_network(Watching(lambda images: calls.append(len(images))))
    ready.segment(a_scan(noise(4)), tta=tta, cancelled=lambda: False)
    assert len(calls) == 4 * calls_a_slice
    calls.clear()
    with pytest.raises(Cancelled):
        ready.segment(a_scan(noise(4)), tta=tta, cancelled=lambda: len(calls) == 3)
    assert len(calls) == 3


def test_memory_running_out_halves_the_batch_in_the_middle_of_a_scan(with_network: Callable[..., Predictor]) -> None:
    def too_many(images: Tensor) -> None:
        if len(images) > 2:
            raise torch.OutOfMemoryError

    scan, seen = a_scan(noise(9)), list[tuple[int, int]]()
    ready = with_network(Watching(too_many), batch=8)
    found = ready.segment(scan, progress=lambda *done: seen.append(done))
    assert found.manifest["engine"]["fallbacks"] == {"batch-halved": 2}
    assert found.manifest["engine"]["batch"] == 2
    assert seen[-1] == (9, 9)
    np.testing.assert_array_equal(found.probability, with_network(Watching()).segment(scan).probability)
    assert ready.segment(scan).manifest["engine"]["fallbacks"] == {}


def test_a_batch_repeated_in_fp32_is_in_the_manifest(with_network: Callable[..., Predictor]) -> None:
    class Overflowing(Watching):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) / (0 if torch.is_autocast_enabled("cpu") else 1)

    found = with_network(Overflowing(), precision="bf16").segment(a_scan(noise(2)))
    assert found.manifest["engine"]["fallbacks"] == {"batch-repeated-in-fp32": 2}
    assert np.isfinite(found.probability).all()


def test_the_manifest_says_how_it_was_made_and_nothing_about_whom(tiny_model: Path) -> None:
    scan = Scan(
        "SECRET-NAME",
        noise(2, 40, 50),
        paths=(Path("/home/SECRET/x.tif"),),
        slice_names=("SECRET_1", "SECRET_2"),
        sha256="ab" * 32,
    )
    found = Predictor(tiny_model, "cpu", "fp32").segment(scan, tta=True, min_lesion=3)
    text = json.dumps(found.manifest, allow_nan=False)
    assert "SECRET" not in text
    assert str(tiny_model.parent) not in text
    manifest = json.loads(text)
    card = Predictor(tiny_model, "cpu", "fp32").card
    assert manifest["input"] == {"sha256": "ab" * 32, "shape": [2, 1, 40, 50], "spacing_mm": [None, None, None]}
    assert manifest["model"]["weights_sha256"] == card.weights.sha256
    assert (manifest["model"]["name"], manifest["model"]["version"], manifest["model"]["depth"]) == (
        card.name,
        "1",
        None,
    )
    assert manifest["settings"]["threshold"] == 0.5
    assert (manifest["settings"]["tta"], manifest["settings"]["min_lesion"]) == (True, 3)
    assert manifest["grid"] == {"source": [40, 50], "target": [205, 256], "mode": "fit"}
    assert manifest["tiling"]["window"] == [208, 256]
    assert (manifest["engine"]["name"], manifest["engine"]["device"], manifest["engine"]["precision"]) == (
        "torch",
        "cpu",
        "fp32",
    )
    assert list(manifest["seconds"]) == ["prepare", "clahe", "network", "restore", "lesions"]
    assert all(value >= 0 for value in manifest["seconds"].values())
    assert manifest["seconds"]["network"] > 0
    assert set(manifest["versions"]) == {"metseg", "torch", "opencv", "numpy"}
    assert manifest["intensity"][0]["scaled"] is False


def test_what_was_noticed_while_reading_and_preparing_is_passed_on(tiny_model: Path) -> None:
    note = Note("from-the-reader", "something was noticed")
    layout = np.concatenate([noise(seed=seed) for seed in range(3)], axis=1)  # (S, 3, H, W), unequal: the LGG layout
    found = Predictor(tiny_model, "cpu", "fp32").segment(a_scan(layout, notes=(note,)))
    assert found.warnings[0] == note
    assert "lgg-channels" in [warning.code for warning in found.warnings]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@torch.inference_mode()
def test_a_depth_answers_with_the_nested_networks_own_head(plain_model: Path, depth: int) -> None:
    voxels = noise()
    found = Predictor(plain_model, "cpu", "fp32", depth=depth).segment(a_scan(voxels))
    network = load_network(plain_model)
    assert isinstance(network, NestedUNet)
    expected = network.cut(depth)(torch.from_numpy(voxels).float() / 255).sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(found.probability, expected, rtol=0, atol=1e-5)
    assert found.manifest["model"]["depth"] == depth


def test_a_network_deeper_than_the_usual_window_allows_has_a_longer_one(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    deep = make_model(tmp_path / "deep", "attention-unet", filters=(2,) * 7, preprocessing=PLAIN)
    found = Predictor(deep, "cpu", "fp32").segment(a_scan(noise(1, 40, 200)))
    assert found.probability.shape == (1, 40, 200)


def test_what_cannot_be_made_is_said_at_once(
    tiny_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nested, attention = tiny_models["nested-unet"], tiny_models["attention-unet"]
    with pytest.raises(UsageError, match="only a nested network"):
        Predictor(attention, "cpu", "fp32", depth=2)
    with pytest.raises(UsageError, match="1 to 4"):
        Predictor(nested, "cpu", "fp32", depth=5)
    with pytest.raises(UsageError, match="at least 240 pixels"):
        Predictor(nested, "cpu", "fp32", window=239)
    with pytest.raises(UsageError, match="exact or gaussian"):
        Predictor(nested, "cpu", "fp32", blend="linear")  # type: ignore[arg-type]
    with pytest.raises(ModelNotFound):
        Predictor(tmp_path / "nothing", "cpu", "fp32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable):
        Predictor(nested, "cuda")


def test_a_model_may_take_several_channels(make_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", preprocessing=PreprocessSettings(channels=("pre", "flair", "post")))
    voxels = np.concatenate([noise(seed=seed) for seed in range(3)], axis=1)
    ready = Predictor(folder, "cpu", "fp32")
    found = ready.segment(a_scan(voxels)).probability
    voxels[:, 2] = 255 - voxels[:, 2]
    assert np.abs(ready.segment(a_scan(voxels)).probability - found).max() > 1e-3


def test_up_to_the_mask_memory_is_the_answer_and_little_more(
    with_network: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def peak_before_lesions(*args: Any, **options: Any) -> tuple[Any, tuple[()]]:
        peaks.append(tracemalloc.get_traced_memory()[1])
        return args[0], ()

    peaks: list[int] = []
    monkeypatch.setattr(predictor, "lesions_in", peak_before_lesions)
    scan, ready = a_scan(np.zeros((60, 1, 256, 256), np.uint8)), with_network(Watching())
    ready.segment(scan)  # imports and what is made once
    tracemalloc.start()
    try:
        ready.segment(scan)
    finally:
        tracemalloc.stop()
    # The probability takes as much as the volume in float32, the mask a quarter of it.
    assert 1 < peaks[1] / (4 * scan.voxels.size) < 1.4


def test_a_real_patient_is_segmented_on_its_own_grid(tiny_model: Path, lgg_root: Path) -> None:
    from core.io import find_scans, read_scan

    scan = read_scan(find_scans(lgg_root)[0])
    few = Scan(scan.name, scan.voxels[:3], sha256=scan.sha256)
    found = Predictor(tiny_model, "cpu", "fp32").segment(few)
    assert found.mask.shape == (3, 256, 256)
    assert found.manifest["grid"] == {"source": [256, 256], "target": [256, 256], "mode": "fit"}
    assert len(found.manifest["input"]["sha256"]) == 64
