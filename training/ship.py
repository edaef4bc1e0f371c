"""Makes the shipped models: scores trained ones on the fold they never saw, and writes cards, weights and results.

    python -m training.ship DATA attention-unet=.runs/lgg-folds/plain-attention-unet-f0 nested-unet=…

A model is replaced only where it is better than the one that is shipped; the default is the best by mean Dice.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.evaluation.evaluate import evaluate
from core.evaluation.publish import publish
from core.io.atomic import write_atomic, write_json
from core.model_store import DEFAULT_FILE, SHIPPED, load_card
from training.epoch_log import minutes_of

FOLDS, FOLD = "lgg", 0
RESULTS = Path("docs/results/shipped")
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
    "Heterogeneous or faint tumours are outlined too small; false finds lie mostly at the skull base and the orbits.",
    "It sees one slice at a time.",
)


def ship(name: str, run: Path, data: Path) -> dict[str, Any]:
    """Score a run's model and, where it beats the shipped one of this name, put it into its place.

    Args:
        name: of the shipped model.
        run: folder that `training.train` left.
        data: the set.

    Returns:
        the scores.
    """
    scores = evaluate(run / "model", data, run / "shipping", folds=FOLDS, fold=FOLD, name=name, overwrite=True)
    scores["run"] = {"recipe": load_card(run / "model").recipe, "minutes": minutes_of(run)}
    mean, before = scores["figures"]["dice"]["mean"], shipped_dice(name)
    print(f"{name}: Dice {mean:.3f}, {'none' if before is None else f'{before:.3f}'} shipped")
    if before is None or mean > before:
        version = "1" if before is None else str(int(load_card(SHIPPED / name).version) + 1)
        publish(
            run / "model", scores, SHIPPED / name, version=version, data=DATA, limits=LIMITS, licence=LICENCE,
            reference_mm=REFERENCE_MM,
        )  # fmt: skip
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_json(RESULTS / f"{name}.json", scores)
    return scores


def shipped_dice(name: str) -> float | None:
    """Mean Dice of the model that is shipped under this name, if there is one."""
    if not (SHIPPED / name).is_dir():
        return None
    return float(load_card(SHIPPED / name).metrics["figures"]["dice"]["mean"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Ship what is better, and name the default."""
    parser = argparse.ArgumentParser(prog="python -m training.ship", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder of images with their masks")
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="shipped name and the run's folder")
    chosen = parser.parse_args(arguments)
    for pair in chosen.runs:
        name, _, run = pair.partition("=")
        ship(name, Path(run), chosen.data)
    best = max((path.name for path in SHIPPED.iterdir() if path.is_dir()), key=lambda name: shipped_dice(name) or 0.0)
    write_atomic(SHIPPED / DEFAULT_FILE, f"{best}\n".encode())
    print(f"default: {best}")


if __name__ == "__main__":
    main()
