"""Turns a trained model and its scores into a model folder to ship: the same weights, a card that tells all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.atomic import write_json
from core.errors import InputError
from core.model_card import ModelCard
from core.model_store import CARD_FILE, load_card, load_network
from core.unfamiliar.reference import REFERENCE_FILE

QUOTED = (
    "dice", "tumour_slice_dice", "all_slice_dice", "lesion_sensitivity", "false_positives_per_scan", "hd95_mm",
    "hd95_px", "surface_dice_mm", "surface_dice_px", "volume_bias_ml", "volume_bias_voxels", "calibration_error",
)  # fmt: skip


def publish(
    model: Path,
    scores: Mapping[str, Any],
    out: Path,
    *,
    version: str,
    data: Mapping[str, Any],
    limits: Sequence[str],
    licence: str,
    reference_mm: float | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Copy a model into a folder of its own, with the figures measured with just these weights.

    Args:
        model: the folder that a training left.
        scores: of an evaluation of this model on patients held out from it, or, for a model refitted on everybody, of
            its recipe's folds joined; see `core.evaluation.scores.read_scores`.
        out: the new folder; its name becomes the model's.
        version: of the model, raised whenever the weights change.
        data: what it learnt from, in words, put before what the training noted.
        limits: sentences a user must read.
        licence: of the weights.
        reference_mm: millimetres per pixel that it learnt at, where its data did not say; else the card's.
        calibration: of the recipe, see `core.evaluation.calibration.calibrate`; None leaves logits as they are.

    Raises:
        InputError: the scores are of other weights or another network, or of patients whom the model learnt from.
        ModelError: the model cannot be loaded.
    """
    card = load_card(model)
    load_network(model, card)
    if scores["held_out"] != "yes":
        raise InputError("these scores are not of held-out patients; a card must not quote them", source=out.name)
    hashes = {entry["weights_sha256"] for entry in scores["models"]}
    refitted = len(hashes) > 1
    if not refitted and hashes != {card.weights.sha256}:
        raise InputError("these scores were made with other weights; evaluate this model", source=out.name)
    how = (
        "out of fold: each patient scored by a model of this recipe that had not seen them" if refitted else "held out"
    )
    if not all(_fits(entry, card) for entry in scores["models"]):
        raise InputError("these scores are of another network; evaluate this model", source=out.name)
    metrics = {
        "measured": f"{how}; {scores['totals']['patients']} patients, their means with 95 % bootstrap intervals",
        **_folds(scores["split"]),
        "settings": dict(scores["settings"]),
        "figures": {
            key: {part: value[part] for part in ("mean", "low", "high", "median", "n")}
            for key in QUOTED
            if (value := scores["figures"].get(key))
        },
    }
    if calibration is not None:
        metrics["calibration_error_with_temperature"] = calibration["calibration_error"]["after"]
    card = replace(
        card,
        name=out.name,
        version=version,
        preprocessing=replace(card.preprocessing, reference_mm=reference_mm or card.preprocessing.reference_mm),
        data={**data, **card.data},
        metrics=metrics,
        temperature=1.0 if calibration is None else calibration["temperature"],
        limits=tuple(limits),
        licence=licence,
    )
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model / card.weights.file, out / card.weights.file)
    if (model / REFERENCE_FILE).is_file():
        shutil.copyfile(model / REFERENCE_FILE, out / REFERENCE_FILE)
    write_json(out / CARD_FILE, card.to_json(), indent=2)
    return card


def _fits(entry: Mapping[str, Any], card: ModelCard) -> bool:
    network = card.network.name, list(card.network.filters), card.neighbours
    return (entry["network"], list(entry["filters"]), entry.get("neighbours", 0.0)) == network


def _folds(split: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of which fold file, and which of its folds, the scored patients are; nothing where they are of none."""
    told = [part for part in split if part["folds"] and part["fold"] is not None]
    if not told:
        return {}
    name = ", ".join(sorted({part["folds"] for part in told}))
    return {"folds": {"name": name, "scored": sorted(part["fold"] for part in told)}}
