"""What a FLAIR model makes of metastases that it never learnt: T2w slices with masks, and a volume without.

    python -m benchmarks.other_tissue --out docs/results/other-tissue

Writes MODEL.json for each model; with --card the main figures go into each model's card, too. The folder of real scans
is `METSEG_DATA`, or `../shared/data` beside the repository.
Nothing is learnt or chosen here: the models run as their cards say.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.unfamiliar import data_folder
from core.atomic import write_json
from core.evaluation.evaluate import Settings, evaluate
from core.inference.predictor import Predictor
from core.io import find_scans, read_scan
from core.model_store import CARD_FILE, find_model, load_card, shipped_models
from core.scan import Scan, Segmentation

SLICES = "jpg-metastasis-t2w"
PATIENT = r"([A-Za-z]+-MET-\d+)"
VOLUME = "nifti-metastasis-no-mask"
FLAIR_END = "-t2f.nii.gz"
LISTED = 10
"""Lesions of a volume that are described one by one, the largest first."""
FIGURES = ("dice", "tumour_slice_dice", "all_slice_dice", "lesion_sensitivity", "false_positives_per_scan")
COLUMNS = (
    "patient", "slices", "true_voxels", "found_voxels",
    "lesions_true", "lesions_found", "lesions_predicted", "lesions_false", *FIGURES,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every model on both and write a file for each."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.other_tissue", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the JSON files")
    parser.add_argument("--model", action="append", help="a shipped name or a model folder; else every shipped model")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--card", action="store_true", help="also write the main figures into each model's card.json")
    chosen = parser.parse_args(arguments)
    data = data_folder()
    for folder in (SLICES, VOLUME):
        if not (data / folder).is_dir():
            parser.error(f"{folder} is not in the folder of real scans; name that with METSEG_DATA")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for model in chosen.model or shipped_models():
        predictor = Predictor(model, chosen.device)
        result = {
            "model": predictor.card.name,
            "version": predictor.card.version,
            "weights_sha256": predictor.card.weights.sha256,
            "precision": predictor.precision,
            "t2w_slices": score_slices(model, data / SLICES, chosen.device),
            "flair_volume": describe_volume(predictor, next((data / VOLUME).glob(f"*{FLAIR_END}"))),
        }
        path = chosen.out / f"{predictor.card.name}.json"
        write_json(path, result)
        if chosen.card:
            write_into_card(find_model(model), result)
        print(f"{path.name}: {json.dumps(result['t2w_slices']['figures'])}", flush=True)


def write_into_card(model: Path, result: Mapping[str, Any]) -> None:
    """Put the main figures under `other_tissue` among the metrics of a model's card."""
    card = load_card(model)
    slices, volume = result["t2w_slices"], result["flair_volume"]
    counts = ("lesions_true", "lesions_found", "lesions_predicted", "lesions_false")
    summary = {
        "metastases, T2w slices with masks": {
            "patients": len(slices["patients"]),
            "dice": {key: slices["figures"]["dice"][key] for key in ("mean", "low", "high")},
            **{key: sum(row[key] for row in slices["patients"]) for key in counts},
        },
        "metastases, a FLAIR volume without mask": {key: volume[key] for key in ("found_ml", "lesions")},
    }
    card = replace(card, metrics={**card.metrics, "other_tissue": summary})
    write_json(model / CARD_FILE, card.to_json(), indent=2)


def score_slices(model: str, data: Path, device: str) -> dict[str, Any]:
    """Scores of a folder with images/ and masks/ by patient, without anything that could be looked at."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores"
        scores = evaluate(model, data, out, patients=PATIENT, settings=Settings(device=device))
    return {
        "figures": {key: scores["figures"].get(key) for key in FIGURES},
        "patients": [{key: row.get(key) for key in COLUMNS} for row in scores["patients"]],
    }


def describe_volume(predictor: Predictor, path: Path) -> dict[str, Any]:
    """How much is found in a volume, in how many parts, and where the largest of them lie."""
    scan = read_scan(find_scans(path)[0])
    found = predictor.segment(scan)
    return {
        "sequence": scan.sequence,
        "shape": list(scan.shape),
        "spacing_mm": list(scan.spacing_mm),
        "found_voxels": int(found.mask.sum()),
        "found_ml": _sum([lesion.volume_ml for lesion in found.lesions]),
        "lesions": len(found.lesions),
        "lesions_from_0.1_ml": sum((lesion.volume_ml or 0) >= 0.1 for lesion in found.lesions),
        "highest_probability": round(float(found.probability.max()), 4),
        "warnings": [note.code for note in found.warnings],
        "familiarity": found.manifest["familiarity"],
        "largest": _largest(scan, found),
    }


def _largest(scan: Scan, found: Segmentation) -> list[dict[str, Any]]:
    described = []
    for lesion in found.lesions[:LISTED]:
        inside = found.mask[tuple(slice(first, last + 1) for first, last in lesion.box)]
        described.append(
            {
                "voxels": lesion.voxels,
                "ml": None if lesion.volume_ml is None else round(lesion.volume_ml, 3),
                "diameter_mm": None if lesion.longest_diameter_mm is None else round(lesion.longest_diameter_mm, 1),
                "ras_mm": _place(scan, lesion.centroid),
                "fills_its_box": round(float(inside.mean()), 2),
            }
        )
    return described


def _place(scan: Scan, centroid: tuple[float, float, float]) -> list[float] | None:
    """RAS millimetres of a (slice, row, column) place."""
    if scan.affine is None:
        return None
    column_row_slice = np.array([*centroid[::-1], 1.0])
    return [round(float(value), 1) for value in (scan.affine @ column_row_slice)[:3]]


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if len(known) == len(values) else None


if __name__ == "__main__":
    main()
