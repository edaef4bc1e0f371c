"""Temperature calibration: one number by which a recipe's logits are divided, so that probabilities mean what they say.

The answer at a probability of one half stays as it is, so masks at the usual threshold do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.atomic import write_json
from core.errors import InputError, UsageError
from core.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, Difference, Interval, mean_interval, paired_difference
from core.evaluation.figures import DECIMALS, rounded
from core.evaluation.join import join_scores
from core.evaluation.metrics import BINS
from core.evaluation.scores import read_scores
from core.evaluation.scoring import LOGIT_BINS, LOGIT_LIMIT, LOGIT_STEP
from core.system import RESEARCH_ONLY, VERSION

KIND = "metseg-calibration"
RANGE = (0.2, 5.0)
"""Of the temperatures that are looked at."""

Row = Mapping[str, Any]


def calibrate(folds: Sequence[str | Path], out: Path | None = None) -> dict[str, Any]:
    """Fit a recipe's temperature, and measure on each fold what that of the other folds is worth.

    Args:
        folds: scores of one recipe's folds, each made by the model that had not seen its patients; two at least.
        out: JSON file for the result, or None.

    Returns:
        `temperature`, fitted to all patients; `folds`, with the temperature of the others; and `calibration_error` and
        `cross_entropy` inside the head and `calibration_error_in_masks`, means over patients, `before` and `after`,
        each patient calibrated by the other folds'. Nearly all of a head is far from any lesion, so the first two say
        little about the voxels that are called one.

    Raises:
        UsageError: fewer than two folds.
        NothingFound, BrokenFile: scores cannot be read.
        InputError: they are not of held-out patients, of different recipes or settings, share a patient, or do not
            count logits; or no temperature fits.
        OutputError: `out` cannot be written.
    """
    if len(folds) < 2:
        raise UsageError("a temperature is judged on folds it was not fitted to; name the scores of two or more")
    parts = [_check(path) for path in folds]
    rows: list[Row] = join_scores(parts, "these folds")["patients"]
    models = [part["models"][0] for part in parts]
    fitted = []
    pairs: list[tuple[Row, float]] = []  # each patient with the temperature of the other folds
    known = models[0].get("temperature", 1.0)
    for part, model in zip(parts, models, strict=True):
        mine = part["patients"]
        others = fit_temperature([row for other in parts if other is not part for row in other["patients"]])
        fitted.append(
            {
                "name": part["name"],
                "weights_sha256": model["weights_sha256"],
                "patients": len(mine),
                "temperature_of_the_others": round(known * others, DECIMALS),
            }
        )
        pairs += [(row, others) for row in mine]
    called = [(row, temperature) for row, temperature in pairs if _has_mask(row)]
    result = {
        "kind": KIND,
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "patients": len(rows),
        "temperature": round(known * fit_temperature(rows), DECIMALS),
        "folds": fitted,
        "calibration_error": _before_and_after(calibration_error, pairs),
        "calibration_error_in_masks": _before_and_after(error_in_mask, called) if called else None,
        "cross_entropy": _before_and_after(cross_entropy, pairs),
        "logits": {"limit": LOGIT_LIMIT, "step": LOGIT_STEP},
        "bootstrap": {"over": "patients", "resamples": RESAMPLES, "seed": SEED, "level": LEVEL},
    }
    if out is not None:
        write_json(out, result)
    return result


def fit_temperature(rows: Sequence[Row]) -> float:
    """The temperature with the least cross-entropy inside the head, each patient counting alike.

    Args:
        rows: of patients, with `logits` as `bin_logits` counts them.

    Source: Guo 2017, On Calibration of Modern Neural Networks, ICML.
    """
    from scipy import optimize  # type: ignore[import-untyped]

    def mean(log_temperature: float) -> float:
        return float(np.mean([cross_entropy(row, np.exp(log_temperature)) for row in rows]))

    found = float(np.exp(optimize.minimize_scalar(mean, bounds=tuple(np.log(RANGE)), method="bounded").x))
    if not 1.01 * RANGE[0] < found < 0.99 * RANGE[1]:
        low, high = RANGE
        raise InputError(f"no temperature from {low:g} to {high:g} fits these scores; see whether they are any good")
    return found


def cross_entropy(row: Row, temperature: float) -> float:
    """Cross-entropy, in nats, of a mean voxel inside a patient's head after division by a temperature."""
    voxels, lesion = np.asarray(row["logits"], np.float64)
    scaled = _centres() / temperature
    return float((voxels * np.logaddexp(0, scaled) - lesion * scaled).sum() / max(voxels.sum(), 1))


def calibration_error(row: Row, temperature: float) -> float:
    """Expected calibration error of a patient's voxels inside the head after division by a temperature.

    It is made from counts of logits, so at temperature 1 it differs a little from the one made from probabilities.
    """
    voxels, lesion = np.asarray(row["logits"], np.float64)
    return _error(_centres(), voxels, lesion, temperature)


def error_in_mask(row: Row, temperature: float) -> float:
    """The same over the voxels whose probability is above one half; these are the same at every temperature."""
    called = _centres() > 0
    voxels, lesion = np.asarray(row["logits"], np.float64)[:, called]
    return _error(_centres()[called], voxels, lesion, temperature)


def _has_mask(row: Row) -> bool:
    return bool(np.asarray(row["logits"])[0, _centres() > 0].any())


def _error(
    logits: NDArray[np.float64], voxels: NDArray[np.float64], lesion: NDArray[np.float64], temperature: float
) -> float:
    probability = 1 / (1 + np.exp(-logits / temperature))
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    stated = np.bincount(bins, weights=voxels * probability, minlength=BINS)
    seen = np.bincount(bins, weights=lesion, minlength=BINS)
    return float(np.abs(stated - seen).sum() / max(voxels.sum(), 1))


def _centres() -> NDArray[np.float64]:
    return np.arange(-LOGIT_LIMIT + LOGIT_STEP / 2, LOGIT_LIMIT, LOGIT_STEP)


def _check(path: str | Path) -> Mapping[str, Any]:
    scores = read_scores(path)
    if scores["held_out"] != "yes":
        raise InputError(
            "these scores are not of held-out patients; a temperature must not be fitted to them", source=str(path)
        )
    if any(np.shape(row.get("logits", ())) != (2, LOGIT_BINS) for row in scores["patients"]):
        raise InputError("these scores do not count logits; make them anew with `metseg evaluate`", source=str(path))
    return scores


def _before_and_after(measure: Callable[[Row, float], float], pairs: Sequence[tuple[Row, float]]) -> dict[str, Any]:
    before, after = ([measure(row, t) for row, t in some] for some in ([(row, 1.0) for row, _ in pairs], pairs))
    return {
        "before": _plain(mean_interval(before)),
        "after": _plain(mean_interval(after)),
        "difference": _plain(paired_difference(before, after)),
    }


def _plain(found: Interval | Difference) -> dict[str, float | None]:
    return {key: rounded(getattr(found, key)) for key in ("mean", "low", "high")}
