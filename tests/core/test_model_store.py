from __future__ import annotations

import hashlib
import json
import pickle  # noqa: TID251 - to show that it is never run
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from core import model_store
from core.errors import MetsegError, ModelDamaged, ModelNotFound
from core.model_card import ModelCard, NetworkSettings, PreprocessSettings, WeightsFile
from core.model_store import CARD_FILE, WEIGHTS_FILE, find_model, load_card, load_network, save_model, shipped_models
from core.networks import NETWORK_NAMES, build_network


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder that a test may damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change_card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads((folder / CARD_FILE).read_text())
    change(values)
    (folder / CARD_FILE).write_text(json.dumps(values))


def write_weights(folder: Path, content: bytes) -> None:
    """Weights with the right hash, so that only what is in them can be wrong."""
    (folder / WEIGHTS_FILE).write_bytes(content)
    change_card(folder, lambda card: card["weights"].update(sha256=hashlib.sha256(content).hexdigest()))


def refusal(kind: type[MetsegError], action: Callable[[], object], folder: Path) -> str:
    """The one line that a person meets, which says no path."""
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert str(folder.parent) not in str(caught.value)
    assert len(str(caught.value)) < 200
    return str(caught.value)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_a_saved_model_loads_as_it_was_with_convolutions_rounded_to_float16(
    tiny_models: dict[str, Path], randomise: Callable[..., Any], name: str
) -> None:
    card = load_card(tiny_models[name])
    assert ModelCard.from_json(card.to_json()) == card
    made = randomise(build_network(name, 1, card.network.filters)).state_dict()
    loaded = load_network(tiny_models[name], card)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    state = loaded.state_dict()
    assert state.keys() == made.keys()
    for key, value in state.items():
        assert value.dtype is made[key].dtype
        assert torch.equal(value, made[key].half().float() if value.ndim == 4 else made[key])


def test_saving_leaves_the_card_and_the_weights_and_nothing_else(tmp_path: Path) -> None:
    card = ModelCard(
        "a", "1", "a test", NetworkSettings("nested-unet", 1, (2, 3)), PreprocessSettings(), WeightsFile("", "")
    )
    written = save_model(tmp_path / "a", card, build_network("nested-unet", 1, (2, 3)))
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [CARD_FILE, WEIGHTS_FILE]
    assert load_card(tmp_path / "a") == written
    assert written.weights.sha256 == hashlib.sha256((tmp_path / "a" / WEIGHTS_FILE).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["no-such-model", "x" * 5000, "nul\0byte", ""])
def test_a_model_that_is_not_there_is_named_and_so_are_those_that_are(
    name: str, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match="the models here are") as caught:
        find_model(name)
    assert caught.value.source == name


def test_the_default_model_stands_first_and_a_missing_one_is_said(
    monkeypatch: Any, tmp_path: Path, tiny_model: Path
) -> None:
    monkeypatch.setattr(model_store, "SHIPPED", tmp_path)
    with pytest.raises(ModelNotFound, match="no model came"):
        find_model()
    for name in ("a", "b", "c"):
        shutil.copytree(tiny_model, tmp_path / name)
    (tmp_path / "default.txt").write_text("b\n")
    assert shipped_models() == ("b", "a", "c")
    assert find_model() == tmp_path / "b"
    assert find_model("c") == tmp_path / "c"
    assert find_model(tiny_model) == tiny_model


@pytest.mark.parametrize(
    "content",
    [b"", b"not JSON", b"\xff\xfe\x00", b"[1, 2]", b"[" * 100_000, b'{"name": "only"}', b'"' + b"x" * (1 << 20) + b'"'],
    ids=["empty", "text", "not UTF-8", "a list", "deep", "lacking", "too large"],
)
def test_a_card_that_is_none_is_refused(model: Path, content: bytes) -> None:
    (model / CARD_FILE).write_bytes(content)
    refusal(ModelDamaged, lambda: load_card(model), model)


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    assert "card.json" in refusal(ModelNotFound, lambda: load_card(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("network", "filters", []),
        ("network", "filters", [2, -3]),
        ("network", "filters", ["2", "3"]),
        ("network", "filters", [10**12] * 5),
        ("network", "filters", 5),
        ("network", "in_channels", "one"),
        ("network", "in_channels", 2),
        ("network", "name", None),
        ("network", "surprise", 1),
        ("preprocessing", "grid", "hexagonal"),
        ("preprocessing", "size", 10**9),
        ("preprocessing", "size", 0),
        ("preprocessing", "tile_px", 0),
        ("preprocessing", "shrink", 0),
        ("preprocessing", "clip_limit", float("nan")),
        ("preprocessing", "clip_limit", 1e300),
        ("preprocessing", "clip_limit", 10**400),
        ("preprocessing", "reference_mm", 10**400),
        ("preprocessing", "percentiles", [99, 1]),
        ("preprocessing", "percentiles", [1]),
        ("preprocessing", "reference_mm", -1),
        ("weights", "file", 7),
        ("weights", "sha256", None),
        (None, "temperature", 10**400),
        (None, "threshold", float("nan")),
        (None, "threshold", "high"),
        (None, "neighbours", -0.1),
        (None, "neighbours", 0.4),
        (None, "neighbours", "some"),
        (None, "name", ["a"]),
        (None, "limits", 3),
        (None, "unknown", 1),
    ],
)
def test_a_card_with_an_impossible_entry_is_refused_before_anything_is_built(
    model: Path, part: str | None, key: str, value: Any
) -> None:
    change_card(model, lambda card: (card if part is None else card[part]).update({key: value}))
    assert "card.json" in refusal(ModelDamaged, lambda: load_card(model), model)


@pytest.mark.parametrize("file", ["../model.safetensors", "/etc/hostname", "sub/../../x", "..", "", "nul\0byte"])
def test_weights_outside_the_folder_are_never_read(model: Path, file: str) -> None:
    change_card(model, lambda card: card["weights"].update(file=file))
    refusal(ModelDamaged, lambda: load_network(model), model)


def test_missing_weights_are_said(model: Path) -> None:
    (model / WEIGHTS_FILE).unlink()
    assert "cannot be read" in refusal(ModelDamaged, lambda: load_network(model), model)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:]])
def test_weights_that_changed_in_any_bit_are_refused(model: Path, damage: Callable[[bytes], bytes]) -> None:
    path = model / WEIGHTS_FILE
    path.write_bytes(damage(path.read_bytes()))
    assert "not those its card names" in refusal(ModelDamaged, lambda: load_network(model), model)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"\xff" * 8 + b[8:], lambda b: b[:40]])
def test_broken_safetensors_with_the_right_hash_are_refused(model: Path, damage: Callable[[bytes], bytes]) -> None:
    write_weights(model, damage((model / WEIGHTS_FILE).read_bytes()))
    assert "damaged" in refusal(ModelDamaged, lambda: load_network(model), model)


def test_weights_of_another_network_are_refused(model: Path, tiny_models: dict[str, Path]) -> None:
    write_weights(model, (tiny_models["attention-unet"] / WEIGHTS_FILE).read_bytes())
    assert "do not fit" in refusal(ModelDamaged, lambda: load_network(model), model)


@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn, torch.float64])
def test_weights_of_another_kind_of_number_are_refused(model: Path, kind: torch.dtype) -> None:
    tensors = {
        name: value.to(kind) if value.ndim == 4 else value for name, value in load_file(model / WEIGHTS_FILE).items()
    }
    write_weights(model, save(tensors))
    assert "do not fit" in refusal(ModelDamaged, lambda: load_network(model), model)


def test_weights_with_a_missing_an_extra_or_a_misshapen_tensor_are_refused(model: Path) -> None:
    tensors = load_file(model / WEIGHTS_FILE)
    first = next(iter(tensors))
    for wrong in (
        {key: value for key, value in tensors.items() if key != first},
        {**tensors, "extra": torch.zeros(1)},
        {**tensors, first: torch.zeros(3)},
    ):
        write_weights(model, save(wrong))
        assert "do not fit" in refusal(ModelDamaged, lambda: load_network(model), model)


def test_weights_that_are_not_finite_are_refused(model: Path) -> None:
    tensors = load_file(model / WEIGHTS_FILE)
    next(value for value in tensors.values() if value.is_floating_point()).view(-1)[0] = torch.nan
    write_weights(model, save(tensors))
    assert "not all finite" in refusal(ModelDamaged, lambda: load_network(model), model)


@pytest.mark.parametrize("change", [{"name": "transformer"}, {"filters": [4, 6]}, {"filters": [9000] * 5}])
def test_a_network_that_the_weights_were_not_made_for_is_refused_without_taking_its_memory(
    model: Path, change: dict[str, Any]
) -> None:
    change_card(model, lambda card: card["network"].update(change))
    refusal(ModelDamaged, lambda: load_network(model), model)


class Trap:
    """Unpickling this leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_weights_are_refused_and_never_run(model: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    pickle.loads(trap)  # noqa: S301 - the trap works, or the test would show nothing
    assert sprung.exists()
    sprung.unlink()
    torch.save(Trap(sprung), model / "as-torch-saves-it")
    for content in (trap, (model / "as-torch-saves-it").read_bytes()):
        write_weights(model, content)
        assert "damaged" in refusal(ModelDamaged, lambda: load_network(model), model)
        assert not sprung.exists()
