"""Makes the shipped models: writes cards, weights and results of trained ones.

    python -m training.ship DATA attention-unet=RUN nested-unet=RUN
    python -m training.ship DATA --folds docs/results/lgg-folds attention-unet=RUN nested-unet=RUN

The first is for runs that held out fold 0, which scores them here. The second is for runs that learnt from everybody:
their figures are those of the recipe's folds, out of fold, whose results lie in the folder named, and a temperature is
fitted to these; it is taken where it lowers the cross-entropy beyond doubt. A model is replaced only where the new one
is better on the patients for whom both have figures; the default is the best by mean Dice.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.atomic import write_atomic
from core.errors import InputError
from core.evaluation.calibration import calibrate
from core.evaluation.compare import common_patients
from core.evaluation.evaluate import evaluate
from core.evaluation.join import join_scores
from core.evaluation.publish import publish
from core.evaluation.scores import read_scores, save_scores
from core.model_store import DEFAULT_FILE, SHIPPED, load_card
from training.epoch_log import minutes_of
from training.recipe import recipe_of, recipe_scored

FOLDS, FOLD = "lgg", 0
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "shipped"
LICENCE = "CC BY-NC-SA 4.0"
REFERENCE_MM = 0.94  # found by registration, see docs/NOTES.md
DATA = {
    "set": "LGG MRI segmentation set (kaggle_3m): TCGA-LGG patients, FLAIR, masks by Buda and others 2019",
    "source": "Buda, Saha, Mazurowski 2019; images from TCIA TCGA-LGG",
}
LIMITS = (
    "Research use only; not a medical device.",
    "Learnt lower-grade glioma on FLAIR from adults of five hospitals. Metastases, other tumours, other sequences and "
    "children were never seen; expect misses and false finds there.",
    "The masks it learnt from outline the whole FLAIR abnormality, oedema included, and few of them are small.",
    "Faint tumours are missed or outlined too small, and dark parts of mixed ones left out; false finds lie where "
    "healthy tissue is bright: inner temporal lobes, skull base, orbits.",
    "It sees one slice at a time; the slices above and below only weigh in afterwards.",
)


def ship(name: str, run: Path, data: Path, folds: Path | None = None) -> dict[str, Any]:
    """Put a run's model into the place of the shipped one of this name where it is better, or where there is none.

    Args:
        name: of the shipped model.
        run: folder that `training.train` left.
        data: the set.
        folds: folder with the results of the recipe's folds, where the run learnt from everybody.

    Returns:
        its scores.

    Raises:
        InputError: the results of the folds are not this recipe's, or not of the patients it learnt from.
        NothingFound: a model of this name is shipped, and what it is worth is not on record.
    """
    scores, calibration = (_held_out(name, run, data), None) if folds is None else _out_of_fold(name, run, folds)
    scores["run"] = {"recipe": load_card(run / "model").recipe, "minutes": minutes_of(run)}
    record, version = RESULTS / name, "1"
    if (SHIPPED / name).is_dir():
        new, old = (one["figures"]["dice"]["mean"] for one in common_patients([scores, read_scores(record)]))
        print(f"{name}: Dice {new:.3f}, shipped {old:.3f}, on the patients that both were scored on")
        if new <= old:
            return scores
        version = str(int(load_card(SHIPPED / name).version) + 1)
    publish(
        run / "model", scores, SHIPPED / name, version=version, data=DATA, limits=LIMITS, licence=LICENCE,
        reference_mm=REFERENCE_MM, calibration=calibration,
    )  # fmt: skip
    record.mkdir(parents=True, exist_ok=True)
    save_scores(scores, record)
    return scores


def _held_out(name: str, run: Path, data: Path) -> dict[str, Any]:
    return evaluate(run / "model", data, run / "shipping", folds=FOLDS, fold=FOLD, name=name, overwrite=True)


def _out_of_fold(name: str, run: Path, folds: Path) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    card = load_card(run / "model")
    found = [(path, read_scores(path)) for path in sorted(folds.glob("*.json"))]
    mine = [(path, scores) for path, scores in found if recipe_scored(scores) == recipe_of(card)]
    if not mine:
        raise InputError("no results of folds there are of this run's recipe; name the right folder", source=name)
    joined = join_scores([scores for _, scores in mine], name)
    if {row["patient"] for row in joined["patients"]} != set(card.data["patients"]):
        raise InputError(
            "the folds' patients are not those whom this run learnt from; finish all folds, and train with --all",
            source=name,
        )
    calibration = calibrate([path for path, _ in mine])
    high = calibration["cross_entropy"]["difference"]["high"]
    return joined, calibration if high is not None and high < 0 else None


def best_shipped() -> str:
    """The shipped model with the best mean Dice over the patients for whom all have figures."""
    records = [read_scores(RESULTS / path.name) for path in sorted(SHIPPED.iterdir()) if path.is_dir()]
    return str(max(common_patients(records), key=lambda scores: scores["figures"]["dice"]["mean"])["name"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Ship what is better, and name the default."""
    parser = argparse.ArgumentParser(prog="python -m training.ship", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder of images with their masks")
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="shipped name and the run's folder")
    parser.add_argument("--folds", type=Path, help="results of the recipe's folds, for runs that learnt from everybody")
    chosen = parser.parse_args(arguments)
    for pair in chosen.runs:
        name, _, run = pair.partition("=")
        ship(name, Path(run), chosen.data, chosen.folds)
    best = best_shipped()
    write_atomic(SHIPPED / DEFAULT_FILE, f"{best}\n".encode())
    print(f"default: {best}")


if __name__ == "__main__":
    main()
