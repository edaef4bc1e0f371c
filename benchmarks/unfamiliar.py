"""How often a model's reference calls scans unfamiliar that the model never learnt from, written as one JSON file.

    python -m benchmarks.unfamiliar --out docs/results/unfamiliar.json --lgg DATA

The folder of real scans is `METSEG_DATA`, or `../shared/data` beside the repository; what is not there is left out and
named. No limit was chosen on any of these scans.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.strangers import ct_like, inverted, noise, photograph
from core.atomic import write_json
from core.errors import MetsegError
from core.evaluation.cases import find_cases
from core.evaluation.folds import load_folds
from core.io import find_scans, read_scan
from core.model_card import ModelCard
from core.model_store import find_model, load_card
from core.phantom import make_phantom
from core.preprocess.prepare import prepare
from core.scan import Scan
from core.unfamiliar.judge import MEASURED, measure
from core.unfamiliar.reference import Reference, Verdict, load_reference

SEEDS = range(1, 21)


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge everything there is, print a line for each group and write the file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.unfamiliar", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--model", default=None, help="a shipped name or a model folder")
    parser.add_argument(
        "--lgg", type=Path, default=None, help="the LGG set, for inverted contrast of held-out patients"
    )
    chosen = parser.parse_args(arguments)
    folder = find_model(chosen.model)
    card, reference = load_card(folder), load_reference(folder, MEASURED)
    if reference is None:
        parser.error("this model has no reference; make one with python -m training.familiar")
    groups = []
    for name, scans in everyone(data_folder(), chosen.lgg, reference):
        group = judge_group(name, scans, card, reference)
        groups.append(group)
        lone = group["lone"]
        print(
            f"{name}: {group['flagged']} of {group['scans']} scans, {lone['flagged']} of {lone['slices']} slices alone",
            flush=True,
        )
    result = {"model": card.name, "reference": reference.about, "groups": groups}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(chosen.out, result)


def data_folder() -> Path:
    """Where the real scans lie."""
    return Path(os.environ.get("METSEG_DATA") or Path(__file__).parents[2] / "shared" / "data")


def everyone(data: Path, lgg: Path | None, reference: Reference) -> Iterator[tuple[str, Iterable[Scan]]]:
    """All groups of scans by name; those whose files are not there are empty."""
    yield "T1w head, DICOM", _read([data / "dicom-t1w-series" / "t1w.zip"])
    yield "T2w slices with metastases", _read(sorted((data / "jpg-metastasis-t2w" / "images").glob("*.jpg")))
    for sequence, end in (("FLAIR", "t2f"), ("T1w", "t1n"), ("T1w+contrast", "t1c"), ("T2w", "t2w")):
        name = f"metastases without skull, {sequence}"
        yield name, _read(sorted((data / "nifti-metastasis-no-mask").glob(f"*-{end}.nii.gz")))
    for sequence, end in (("FLAIR", "fla"), ("T1w", "t1"), ("T1w+contrast", "t1c"), ("T2w", "t2")):
        yield f"native glioma, {sequence}", _read(sorted((data / "nifti-lgg-native").rglob(f"*_{end}.nii.gz")))
    yield "phantoms", (make_phantom(seed)[0] for seed in SEEDS)
    yield "noise", map(noise, SEEDS)
    yield "CT-like phantoms", map(ct_like, SEEDS)
    yield "photograph-like scenes", map(photograph, SEEDS)
    yield "phantoms, inverted", (inverted(make_phantom(seed)[0]) for seed in SEEDS)
    if lgg is not None:
        held = set(load_folds(reference.about["set"]).test(reference.about["held_out_fold"]))
        cases = [case for case in find_cases(lgg).cases if case.patient in held]
        yield "held-out glioma, inverted", (inverted(read_scan(case.source)) for case in cases)


def judge_group(name: str, scans: Iterable[Scan], card: ModelCard, reference: Reference) -> dict[str, Any]:
    """Judge scans as they are, and up to 32 of their slices one by one, on their volume's grey scale.

    What shows too little head to be judged is counted apart.
    """
    rows: list[dict[str, Any]] = []
    alone: list[Verdict] = []
    for scan in scans:
        described = measure(prepare(scan, card.preprocessing).images)
        rows.append({**_row(reference.judge(described)), "sequence": scan.sequence})
        alone += [reference.judge(row[None]) for row in described]
    judged = [one for one in alone if one.slices]
    return {
        "name": name,
        "scans": sum(row["slices"] > 0 for row in rows),
        "flagged": sum(row["strange"] or row["other"] for row in rows),
        "strange": sum(row["strange"] for row in rows),
        "other": sum(row["other"] for row in rows),
        "not_judged": sum(row["slices"] == 0 for row in rows),
        "lone": {
            "slices": len(judged),
            "flagged": sum(one.is_strange or one.is_other for one in judged),
            "not_judged": len(alone) - len(judged),
        },
        "verdicts": rows,
    }


def _row(verdict: Verdict) -> dict[str, Any]:
    numbers = {"distance": verdict.distance, "otherness": verdict.otherness}
    return {
        "slices": verdict.slices,
        **{name: None if value is None else float(np.round(value, 3)) for name, value in numbers.items()},
        "strange": verdict.is_strange,
        "other": verdict.is_other,
    }


def _read(paths: Sequence[Path]) -> Iterator[Scan]:
    for path in paths:
        if path.is_file():
            try:
                yield read_scan(find_scans(path)[0])
            except MetsegError as error:
                print(f"{path.name}: {error.detail}")


if __name__ == "__main__":
    main()
