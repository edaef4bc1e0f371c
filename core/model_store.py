"""Finds, checks, loads and writes model folders: `card.json` beside `model.safetensors`.

Weights are safetensors, which hold tensors and nothing that runs; their SHA-256 stands in the card and is checked.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.atomic import make_folder, write_atomic
from core.errors import ModelDamaged, ModelNotFound
from core.model_card import ModelCard, WeightsFile

if TYPE_CHECKING:
    from torch import nn

SHIPPED = Path(__file__).parent / "weights"
CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
CARD_LIMIT = 1 << 20
DEFAULT_FILE = "default.txt"


def shipped_models() -> tuple[str, ...]:
    """Names of the models that came with metseg, the default first."""
    names = sorted(path.parent.name for path in SHIPPED.glob(f"*/{CARD_FILE}"))
    default = SHIPPED / DEFAULT_FILE
    first = default.read_text(encoding="utf-8").strip() if default.is_file() else ""
    return tuple(sorted(names, key=lambda name: name != first))


def find_model(model: str | Path | None = None) -> Path:
    """The folder of a shipped model's name or of a path; None gives the default model.

    Raises:
        ModelNotFound: no shipped model has that name and no model folder lies there.
    """
    names = shipped_models()
    if model is None:
        if not names:
            raise ModelNotFound("no model came with this installation; name a model folder with --model")
        return SHIPPED / names[0]
    if str(model) in names:
        return SHIPPED / str(model)
    folder = Path(model)
    with suppress(OSError):  # a name too long to be a path, a folder that may not be looked into
        if (folder / CARD_FILE).is_file():
            return folder
    raise ModelNotFound(f"there is no such model; the models here are: {', '.join(names) or 'none'}", source=str(model))


def load_card(folder: Path) -> ModelCard:
    """Read a model folder's card without importing torch.

    Raises:
        ModelNotFound: there is no card.
        ModelDamaged: the card cannot be used.
    """
    path = folder / CARD_FILE
    try:
        if path.stat().st_size > CARD_LIMIT:
            raise ModelDamaged("the model's card.json is too large; install the model again", source=folder.name)
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelNotFound("this folder holds no card.json; name a model folder", source=folder.name) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamaged(
            "the model's card.json cannot be read; install the model again", source=folder.name
        ) from error
    if not isinstance(values, dict):
        raise ModelDamaged("the model's card.json is not an object; install the model again", source=folder.name)
    try:
        return ModelCard.from_json(values)
    except ModelDamaged as error:
        raise ModelDamaged(error.detail, source=folder.name) from error


def load_network(folder: Path, card: ModelCard | None = None) -> nn.Module:
    """Build a model's network with its weights, float32, on the CPU, in eval mode.

    Raises:
        ModelDamaged: weights missing, of another hash than the card says, or not fitting the network.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    from core.networks import build_network

    card = load_card(folder) if card is None else card
    again = "install the model again"
    if Path(card.weights.file).name != card.weights.file:
        raise ModelDamaged(f"the model's card names weights outside its folder; {again}", source=folder.name)
    try:
        content = (folder / card.weights.file).read_bytes()
    except (OSError, ValueError) as error:
        raise ModelDamaged(f"the model's weights cannot be read; {again}", source=folder.name) from error
    if hashlib.sha256(content).hexdigest() != card.weights.sha256:
        raise ModelDamaged(f"the model's weights are not those its card names; {again}", source=folder.name)
    try:
        tensors = load_tensors(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelDamaged(f"the model's weights are damaged; {again}", source=folder.name) from error
    unfit = ModelDamaged(f"the model's weights do not fit its network; {again}", source=folder.name)
    # Every level has a 3×3 convolution from its filters to as many: no memory is taken for what a wrong card asks for.
    if len(content) < 9 * max(card.network.filters) ** 2:
        raise unfit
    try:
        network = build_network(card.network.name, card.network.in_channels, card.network.filters)
    except ValueError as error:
        raise ModelDamaged(
            f"the model's card asks for a network that there is not; {again}", source=folder.name
        ) from error
    expected = network.state_dict()
    shapes = {name: value.shape for name, value in expected.items()}
    if shapes != {name: value.shape for name, value in tensors.items()}:
        raise unfit
    floats = (torch.float16, torch.bfloat16, torch.float32)
    kinds = {name: floats if value.is_floating_point() else (value.dtype,) for name, value in expected.items()}
    if not all(value.dtype in kinds[name] for name, value in tensors.items()):
        raise unfit
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ModelDamaged(f"the model's weights are not all finite; {again}", source=folder.name)
    network.load_state_dict(tensors)
    return network.requires_grad_(False).eval()


def save_model(folder: Path, card: ModelCard, network: nn.Module) -> ModelCard:
    """Write a model folder: convolutions as float16, everything else as it is, and the card with the file's hash.

    Figures quoted in a card must therefore be measured with the model read back from its folder.

    Returns:
        the card as written.

    Raises:
        OutputError: a file cannot be written.
    """
    import torch
    from safetensors.torch import save as save_tensors

    make_folder(folder)
    tensors = {
        name: (value.half() if value.ndim == 4 else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
        if isinstance(value, torch.Tensor)
    }
    content = save_tensors(tensors)
    card = replace(card, weights=WeightsFile(WEIGHTS_FILE, hashlib.sha256(content).hexdigest()))
    write_atomic(folder / WEIGHTS_FILE, content)
    write_atomic(folder / CARD_FILE, (json.dumps(card.to_json(), indent=2, ensure_ascii=False) + "\n").encode())
    return card
