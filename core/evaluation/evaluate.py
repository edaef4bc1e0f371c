"""Judges a model on a folder of labelled scans, and writes what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.atomic import make_folder, write_json
from core.errors import InputError, UsageError
from core.evaluation.cases import keep_apart
from core.evaluation.curves import read_curves
from core.evaluation.folds import load_folds
from core.evaluation.head import find_head
from core.evaluation.out import MASKS, check_out, clear_out
from core.evaluation.patients import Case, PatientRule, parse_rule
from core.evaluation.pictures import MANIFEST, seen_picture
from core.evaluation.scores import KIND, SCORES, build_scores, save_scores
from core.evaluation.scoring import CaseScores, score_case, score_patient
from core.evaluation.slices import SliceCounts, count_slices, write_slices
from core.evaluation.split import Progress, check_content, divide, find_named
from core.inference.predictor import Predictor
from core.io import Origin, masks_of_ours, read_mask, read_scan, write_mask
from core.model_card import GridMode, ModelCard
from core.model_store import find_model, load_card
from core.system import VERSION


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is run.

    Attributes:
        threshold: probability from which a voxel is lesion; None takes the card's.
        tta: average with the mirrored image.
        min_lesion: components of fewer voxels are dropped.
        grid, channel: as for `Predictor.segment`.
        device, precision: as for `Predictor`.
    """

    threshold: float | None = None
    tta: bool = False
    min_lesion: int = 0
    grid: GridMode | None = None
    channel: int | str | None = None
    device: str = "auto"
    precision: str = "auto"


def evaluate(
    model: str | Path | None,
    data: str | Path,
    out: Path,
    *,
    folds: str | Path | None = None,
    fold: int | None = None,
    patients: str | None = None,
    each_image: bool = False,
    learnt: str | Path | None = None,
    allow_learnt: bool = False,
    settings: Settings | None = None,
    name: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Score a model; `scores.json`, `patients.csv`, `slices.csv`, `table.md`, `report.html` and masks go to a folder.

    With a model's weights, its set and the fold file this gives the same scores again:
    `evaluate("MODEL", "DATA", Path("OUT"), folds="lgg", fold=0)`.

    Args:
        model: a shipped model's name or a model folder; None is the default model.
        data: a folder that `find_cases` understands.
        out: a folder of its own, outside of `data`.
        folds: a shipped fold file's name or a path; with `fold` its patients are scored, else all of the set.
        fold: which one.
        patients: how names tell patients, see `parse_rule`; else the fold file says, or the model's card where its rule
            fits the set, or the cases' names.
        each_image: every image is of another patient.
        learnt: another folder with the scans that the model learnt from, to compare their contents.
        allow_learnt: score patients whom the model learnt from, and say so in every output.
        settings: how the model is run.
        name: in the outputs; else the model's.
        overwrite: replace an earlier evaluation.
        progress: told what is being done.
        cancelled: asked often; a true answer ends the work.

    Returns:
        what stands in `scores.json`; under `left_out` are the patients of whom something cannot be read.

    Raises:
        UsageError: options do not go together.
        ModelError, DeviceError: the model cannot run.
        InputError: nothing of the set can be read, its patients cannot be told, or the model learnt from one of them.
        OutputError: `out` cannot be used.
        Cancelled: somebody asked to stop.
    """
    settings = Settings() if settings is None else settings
    tell = progress or (lambda what, done, total: None)
    root, folder = Path(data), find_model(model)
    card = load_card(folder)
    keep_apart(root, out)
    check_out(out, SCORES, overwrite)
    if fold is not None and folds is None:
        raise UsageError("a fold needs its fold file; name it with --folds")
    file = None if folds is None else load_folds(folds)
    told = None if file is None else file.patients
    if patients is not None or each_image:
        told = parse_rule(patients, each_image)
    labelled, rule = find_named(root, card, told, settings.channel)
    split = divide(labelled, card, rule, file, fold, allow_learnt)
    split, check = check_content(split, card, rule, learnt, settings.channel, allow_learnt, tell)

    predictor = Predictor(folder, settings.device, settings.precision)
    channel = None if labelled.channel_chosen else settings.channel
    make_folder(out)
    clear_out(out)
    _write_manifest(out, root, rule, settings, card, {})  # from now on the folder is known as an evaluation's
    rows: list[dict[str, Any]] = []
    slices: list[SliceCounts] = []
    places: dict[str, str] = {}
    by_patient: dict[str, list[Case]] = {}
    for case in split.scored:
        by_patient.setdefault(case.patient, []).append(case)
    left_out: list[dict[str, str]] = []
    for patient, cases in by_patient.items():
        counts = []
        try:
            for case in cases:
                tell("scoring", len(places), len(split.scored))
                places[case.source.name] = f"{MASKS}/{len(places) + 1:04d}"
                counts.append(_score(predictor, case, settings, channel, out / places[case.source.name], cancelled))
        except InputError as error:
            culprit = f"{Path(error.source).name}: " if error.source else ""
            left_out.append({"patient": patient, "problem": culprit + error.detail})
            continue
        slices += [count for scored, names in counts for count in count_slices(patient, scored, names)]
        rows.append(score_patient(patient, [scored for scored, _ in counts]))
    tell("scoring", len(places), len(split.scored))
    if not rows:
        raise InputError(f"no patient can be scored; {left_out[0]['problem']}", source=left_out[0]["patient"])

    about = {
        "name": name or card.name,
        "models": [_model(card)],
        "data": {
            "name": labelled.name,
            "unlabelled": len(labelled.unlabelled),
            "lacking": list(labelled.unlabelled),
            "own_masks": sum(masks_of_ours(case.source) > 0 for case in split.scored),
        },
        "split": [split.about],
        "left_out": left_out,
        "held_out": split.held_out,
        "settings": {
            "threshold": card.threshold if settings.threshold is None else settings.threshold,
            "mirrored": settings.tta,
            "min_lesion": settings.min_lesion,
            "grid": settings.grid or card.preprocessing.grid,
            "channel": settings.channel,
            "device": predictor.device,
            "precision": predictor.precision,
        },
        "content_check": [check],
        "training": read_curves(folder),
        "limits": list(card.limits),
    }
    scores = build_scores(about, rows)
    write_slices(slices, out)
    _write_manifest(out, root, rule, settings, card, places)
    save_scores(scores, out)
    from core.evaluation.report import write_report  # draws; not needed by whoever only scores

    write_report(out, [(scores, out)])
    return scores


def _score(
    predictor: Predictor,
    case: Case,
    settings: Settings,
    channel: int | str | None,
    folder: Path,
    cancelled: Callable[[], bool] | None,
) -> tuple[CaseScores, tuple[str, ...]]:
    """A case's scores, and its slices' names."""
    scan, truth = read_scan(case.source), read_mask(case.source)
    result = predictor.segment(
        scan,
        settings.threshold,
        tta=settings.tta,
        min_lesion=settings.min_lesion,
        channel=channel,
        grid=settings.grid,
        cancelled=cancelled,
    )
    folder.mkdir(parents=True, exist_ok=True)
    card = predictor.card
    write_mask(result.mask, scan, folder, origin=Origin(card.name, card.version, result.manifest))
    scores = score_case(
        case.source.name,
        truth,
        result.mask,
        result.probability,
        find_head(seen_picture(scan, card.preprocessing.channels, channel)),
        spacing_mm=scan.spacing_mm,
        evenly_spaced=scan.evenly_spaced,
        contiguous=scan.contiguous,
        seconds=float(sum(result.manifest["seconds"].values())),
    )
    return scores, scan.slice_names


def _model(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "version": card.version,
        "summary": card.summary,
        "network": card.network.name,
        "filters": list(card.network.filters),
        "weights_sha256": card.weights.sha256,
        "neighbours": card.neighbours,
        "temperature": card.temperature,
        "licence": card.licence,
        "recipe": dict(card.recipe),
        "preprocessing": asdict(card.preprocessing),
    }


def _write_manifest(
    out: Path, data: Path, rule: PatientRule, settings: Settings, card: ModelCard, places: dict[str, str]
) -> None:
    """What only this machine needs: where the set lies and which mask is whose; scores.json holds no path."""
    values = {
        "kind": KIND,
        "metseg": VERSION,
        "data": str(data.resolve()),
        "patients": rule.to_json(),
        "channel": settings.channel,
        "inputs": list(card.preprocessing.channels),
        "masks": places,
    }
    write_json(out / MANIFEST, values)
