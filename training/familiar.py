"""Learns what a model's scans look like and writes that beside its card, so that others can be warned of.

    python -m training.familiar DATA core/weights/attention-unet core/weights/nested-unet --folds lgg --fold 0

Learns from the fold's training patients alone and prints how it does on those held out. The weights have no part in
it: a new model with the same channels and grid, learnt from the same set, gets the same file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.atomic import write_atomic
from core.errors import InputError
from core.evaluation.cases import find_cases
from core.evaluation.folds import Folds, load_folds
from core.io import read_scan
from core.model_card import PreprocessSettings
from core.model_store import find_model, load_card
from core.preprocess.channels import LGG_LAYOUT
from core.preprocess.prepare import prepare
from core.scan import Scan
from core.unfamiliar.judge import MEASURED, measure
from core.unfamiliar.learn import FALSE_ALARMS, learn_reference
from core.unfamiliar.reference import REFERENCE_FILE, Reference

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Described:
    """A patient's described slices: of what the model learns from, and of the other sequences that differ from it."""

    learnt: Rows
    others: tuple[Rows, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the set, learn, check, write."""
    parser = argparse.ArgumentParser(prog="python -m training.familiar", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder of images with their masks")
    parser.add_argument("models", nargs="+", help="shipped names or model folders that get the file")
    parser.add_argument("--folds", default="lgg", help="a shipped fold file's name, or a path")
    parser.add_argument("--fold", type=int, default=0, help="whose patients are held out")
    chosen = parser.parse_args(arguments)
    folders = [find_model(model) for model in chosen.models]
    # Slices are described before the model's CLAHE and its grey scale, so these may differ.
    plain = {"clip_limit": 2.0, "tile_px": 32, "standardise": False}
    settings, *others = (replace(load_card(folder).preprocessing, **plain) for folder in folders)
    if any(other != settings for other in others):
        parser.error("the models differ in their preprocessing; run this for each of them")
    folds = load_folds(chosen.folds)
    described = describe_set(
        chosen.data, settings, lambda done, total: print(f"\r{done}/{total} scans", end="", flush=True)
    )
    reference = learn_fold(described, folds, chosen.fold)
    print("\n" + json.dumps(reference.about, indent=1))
    for folder in folders:
        write_reference(reference, folder)


def describe_set(
    data: Path, settings: PreprocessSettings, progress: Callable[[int, int], None] | None = None
) -> dict[str, Described]:
    """Describe every patient's slices, and those of the set's other channels where there are any.

    A patient's visits are put together.
    """
    cases = find_cases(data).cases
    described: dict[str, Described] = {}
    for done, case in enumerate(cases, start=1):
        one = _describe(read_scan(case.source), settings)
        before = described.get(case.patient)
        if before is not None:
            one = Described(np.concatenate([before.learnt, one.learnt]), before.others + one.others)
        described[case.patient] = one
        if progress:
            progress(done, len(cases))
    return described


def learn_fold(described: Mapping[str, Described], folds: Folds, fold: int) -> Reference:
    """Learn from a fold's training patients, with limits from the other folds among them, and check on its own.

    Raises:
        InputError: none of the fold's patients is in the set.
    """
    held = [name for name in folds.test(fold) if name in described]
    groups = [
        [name for name in group if name in described] for group in folds.folds if set(group) != set(folds.test(fold))
    ]
    names = [name for group in groups for name in group]
    if not held or not names:
        raise InputError("the fold's patients are not in this set; check the fold file", source=folds.name)
    about = {
        "set": folds.name,
        "held_out_fold": fold,
        "patients": len(names),
        "slices": sum(len(described[name].learnt) for name in names),
        "rule": f"limits leave at most {FALSE_ALARMS:.0%} of these patients, and of their slices, beyond; each judged "
        "by a reference of the other folds",
    }
    reference = learn_reference(
        {name: described[name].learnt for name in names},
        {name: described[name].others for name in names},
        groups,
        MEASURED,
        about,
    )
    return replace(reference, about={**about, "held_out": check(reference, (described[name] for name in held))})


def check(reference: Reference, patients: Iterable[Described]) -> dict[str, Any]:
    """How many scans, and how many slices taken alone, are beyond the limits; those with too little head are apart."""
    everyone = list(patients)
    return {
        "learnt": _count(reference, [one.learnt for one in everyone]),
        "other_sequences": _count(reference, [rows for one in everyone for rows in one.others]),
    }


def write_reference(reference: Reference, folder: Path) -> None:
    """Put the file beside a model's card."""
    write_atomic(folder / REFERENCE_FILE, (json.dumps(reference.to_json(), ensure_ascii=False) + "\n").encode())


def _describe(scan: Scan, settings: PreprocessSettings) -> Described:
    own = prepare(scan, settings).images
    others = []
    if scan.voxels.shape[1] == len(LGG_LAYOUT) and settings.channels[0] in LGG_LAYOUT:
        for name in LGG_LAYOUT:
            images = prepare(scan, replace(settings, channels=(name,))).images
            if not np.array_equal(images, own[:, :1]):  # a missing sequence was filled up with the learnt one
                others.append(measure(images))
    return Described(measure(own), tuple(others))


def _count(reference: Reference, scans: Sequence[Rows]) -> dict[str, int]:
    whole = [reference.judge(rows) for rows in scans]
    lone = [reference.judge(row[None]) for rows in scans for row in rows]
    return {
        "scans": sum(verdict.slices > 0 for verdict in whole),
        "flagged": sum(verdict.is_strange or verdict.is_other for verdict in whole),
        "not_judged": sum(verdict.slices == 0 for verdict in whole),
        "slices": sum(verdict.slices > 0 for verdict in lone),
        "slices_flagged": sum(verdict.is_strange or verdict.is_other for verdict in lone),
        "slices_not_judged": sum(verdict.slices == 0 for verdict in lone),
    }


if __name__ == "__main__":
    main()
