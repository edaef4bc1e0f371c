"""Makes tables and report again from scores alone, and one table from the folds of a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from statistics import fmean
from typing import Any

from core.atomic import make_folder, write_json
from core.errors import InputError, UsageError
from core.evaluation.out import check_out
from core.evaluation.pictures import MANIFEST, read_manifest
from core.evaluation.recipe import check_alike, differing_settings
from core.evaluation.scores import SCORES, build_scores, origin, read_scores, save_scores
from core.evaluation.slices import SLICES

WORD_END = re.compile(r"[-_. ]")


def redo_tables(
    scores: Sequence[str | Path], out: Path | None = None, *, name: str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Compute all figures again from the patients' measures in one or more `scores.json`, and write them.

    Several are joined: the folds of one recipe, each scored by its own model, give the out-of-fold figures of all
    patients. `redo_tables(["docs/results/attention-f0.json"], Path("OUT"))` makes a committed table again.

    Args:
        scores: files, or folders of evaluations.
        out: a folder for `scores.json`, `patients.csv`, `table.md` and `report.html`; None writes nothing.
        name: in the outputs; else what the names of all have in common.
        overwrite: replace what an earlier call wrote.

    Returns:
        the scores; `core.evaluation.scores.table_markdown` makes the table of them.

    Raises:
        UsageError: none was named.
        NothingFound, BrokenFile: one cannot be read.
        InputError: a patient stands in two of them, or their settings or the recipes of their models differ.
        OutputError: `out` cannot be used.
    """
    if not scores:
        raise UsageError("name at least one scores.json or folder of an evaluation")
    parts = [read_scores(path) for path in scores]
    name = name or common_name([str(part["name"]) for part in parts])
    whole = {**parts[0], "name": name} if len(parts) == 1 else join_scores(parts, name)
    if out is not None:
        check_out(out, SCORES, overwrite)
        from core.evaluation.report import write_report  # draws; not needed by whoever only computes

        make_folder(out)
        folders = [(path if path.is_dir() else path.parent).resolve() for path in map(Path, scores)]
        if folders != [out.resolve()]:  # else these are its own
            manifest = _join_manifests(folders)
            for earlier in (MANIFEST, SLICES):
                (out / earlier).unlink(missing_ok=True)
            if manifest is not None:
                write_json(out / MANIFEST, manifest)
        save_scores(whole, out)
        write_report(out, [(whole, out)])
    return whole


def join_scores(parts: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """One evaluation from several of disjoint patients, with the mean of their trainings' curves, see `mean_curves`.

    Each patient's row says of which fold it is and which weights it was scored with.

    Raises:
        InputError: a patient stands in two of them, or their settings or the recipes of their models differ.
    """
    rows = [{**row, **origin(part)} for part in parts for row in part["patients"]]
    names = [row["patient"] for row in rows]
    twice = sorted({patient for patient in names if names.count(patient) > 1})
    if twice:
        raise InputError(
            f"{len(twice)} patients stand in more than one of these scores; join scores of different folds, and "
            "compare those of the same patients",
            source=twice[0],
        )
    check_alike(parts, name)
    first = parts[0]
    own_masks = sum(part["data"].get("own_masks", 0) for part in parts)
    states = {part["held_out"] for part in parts}
    about = {
        "name": name,
        "models": [model for part in parts for model in part["models"]],
        "data": (first["data"] if len({part["data"]["name"] for part in parts}) == 1 else {"name": "several sets"})
        | ({"own_masks": own_masks} if own_masks else {}),
        "split": [entry for part in parts for entry in part["split"]],
        "held_out": next(state for state in ("no", "unknown", "yes") if state in states),
        "settings": {**first["settings"], **dict.fromkeys(sorted(differing_settings(parts)), "several")},
        "left_out": [entry for part in parts for entry in part.get("left_out", ())],
        "content_check": [entry for part in parts for entry in part["content_check"]],
        "training": mean_curves(parts),
        "limits": list(dict.fromkeys(sentence for part in parts for sentence in part["limits"])),
    }
    return build_scores(about, rows)


def mean_curves(parts: Sequence[Mapping[str, Any]]) -> dict[str, list[list[float]]] | None:
    """The mean of the trainings behind several evaluations: of each curve that all have, at each epoch that all have.

    A model counts once, however many of the evaluations are of it.

    Returns:
        by name the points [epoch, value]; None where one has no curves, or they share none.
    """
    trainings = {
        model["weights_sha256"]: {name: dict(points) for name, points in (part["training"] or {}).items()}
        for part in parts
        for model in part["models"]
    }.values()
    curves: dict[str, list[list[float]]] = {}
    for name in next(iter(trainings), {}):
        tables = [training.get(name, {}) for training in trainings]
        epochs = [epoch for epoch in tables[0] if all(epoch in table for table in tables)]
        if epochs:
            curves[name] = [[epoch, round(fmean(table[epoch] for table in tables), 6)] for epoch in epochs]
    return curves or None


def common_name(names: Sequence[str]) -> str:
    """The words that names begin with alike, `plain` of `plain-f0` and `plain-f1`; all names where there are none."""
    words = zip(*(WORD_END.split(name) for name in names), strict=False)
    alike = len(list(takewhile(lambda ones: len(set(ones)) == 1, words)))
    ends = [match.start() for match in WORD_END.finditer(names[0])] + [len(names[0])]
    shared = names[0][: ends[alike - 1]] if alike else ""
    return shared or ", ".join(names)


def _join_manifests(folders: Sequence[Path]) -> dict[str, Any] | None:
    """What tells the joint report where masks and scans are, where all evaluations are of one set that is at hand."""
    manifests = [read_manifest(folder) for folder in folders]
    known = [manifest for manifest in manifests if manifest is not None]
    if len(known) < len(folders):
        return None
    same = ("data", "patients", "channel", "inputs")
    if any(manifest[key] != known[0][key] for manifest in known for key in same):
        return None
    masks = {
        case: str(folder / place)
        for folder, manifest in zip(folders, known, strict=True)
        for case, place in manifest["masks"].items()
    }
    return {**known[0], "masks": masks}
