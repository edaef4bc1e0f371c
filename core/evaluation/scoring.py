"""Holds what a model found against the truth: counts of a case, and a patient's measures from the counts of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.figures import DECIMALS
from core.evaluation.metrics import BINS, TOLERANCE
from core.evaluation.patients import site_of
from core.measure.dice import dice
from core.measure.lesions import neighbourhood
from core.measure.logits import logits_of
from core.measure.surface import slice_surfaces
from core.scan import Spacing

Mask = NDArray[np.bool_]

LOGIT_LIMIT, LOGIT_STEP = 18.0, 0.5
"""Logits are counted in bins of this width between plus and minus the limit; the outermost take what lies beyond."""

LOGIT_BINS = int(2 * LOGIT_LIMIT / LOGIT_STEP)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A lesion of the mask.

    Attributes:
        voxels: of it.
        lesions: numbers of the true lesions that it lies on; none where it is false.
    """

    voxels: int
    lesions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LesionMatch:
    """How two masks agree about lesions.

    Attributes:
        true: how many lesions the truth has; their numbers begin at 0.
        candidates: the mask's lesions.
    """

    true: int
    candidates: tuple[Candidate, ...]

    @property
    def found(self) -> int:
        """True lesions on which a voxel of the mask lies."""
        return len({lesion for candidate in self.candidates for lesion in candidate.lesions})

    @property
    def false(self) -> int:
        """Lesions of the mask that lie on no voxel of the truth."""
        return sum(not candidate.lesions for candidate in self.candidates)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Voxels inside the head by the probability that the model gave them; each array is (BINS,).

    Attributes:
        voxels: how many.
        probability: the sum of their probabilities.
        lesion: how many of them are lesion.
    """

    voxels: NDArray[np.int64]
    probability: NDArray[np.float64]
    lesion: NDArray[np.int64]

    @property
    def error(self) -> float | None:
        """Expected calibration error; None without any voxel.

        Source: Naeini 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI.
        """
        total = int(self.voxels.sum())
        return float(np.abs(self.probability - self.lesion).sum() / total) if total else None


@dataclass(frozen=True, slots=True, eq=False)
class CaseScores:
    """What is counted in one case; sums, so that cases of a patient can be gathered.

    Attributes:
        name: of the case.
        shape: (slices, height, width).
        true, found, both: voxels of the truth, of the mask, of both.
        slice_counts: (slices, 3) voxels of the truth, of the mask, of both in each slice.
        slice_dice: (slices,) of each slice.
        lesion_slices: (slices,) bool, where the truth has something.
        lesions: how those of truth and mask agree.
        surface: (HD95, surface Dice, slices they are means over, slices without distance).
        false_pixels: of the mask on slices whose truth is empty.
        pixel_mm2, voxel_ml: None where spacing is not known.
        reliability: inside the head.
        logits: (2, LOGIT_BINS) inside the head, as `bin_logits` counts them.
        seconds: that the model took.
    """

    name: str
    shape: tuple[int, int, int]
    true: int
    found: int
    both: int
    slice_counts: NDArray[np.int64]
    slice_dice: NDArray[np.float64]
    lesion_slices: NDArray[np.bool_]
    lesions: LesionMatch
    surface: tuple[float, float, int, int]
    false_pixels: int
    pixel_mm2: float | None
    voxel_ml: float | None
    reliability: Reliability
    logits: NDArray[np.int64]
    seconds: float


def score_case(
    name: str,
    truth: Mask,
    mask: Mask,
    probability: NDArray[np.float32],
    head: Mask,
    *,
    spacing_mm: Spacing,
    evenly_spaced: bool = True,
    contiguous: bool = True,
    seconds: float = 0.0,
) -> CaseScores:
    """Count everything that the measures of a patient need.

    Args:
        name: of the case.
        truth: (S, H, W) bool.
        mask: the model's, the same shape.
        probability: the same shape, in [0, 1].
        head: the same shape; where probabilities are held against the truth.
        spacing_mm: between slices, rows and columns, None where unknown.
        evenly_spaced: whether a volume can be stated.
        contiguous: whether lesions may be followed from slice to slice.
        seconds: that the model took.
    """
    slice_mm, row_mm, column_mm = spacing_mm
    in_plane = (row_mm, column_mm) if row_mm is not None and column_mm is not None else None
    pixel_mm2 = in_plane[0] * in_plane[1] if in_plane else None
    has_volume = pixel_mm2 is not None and slice_mm is not None and evenly_spaced and contiguous
    surfaces = slice_surfaces(truth, mask, TOLERANCE, in_plane)
    lesion_slices: Mask = np.asarray(truth.any(axis=(1, 2)))
    inside, lesion = probability[head], truth[head]
    return CaseScores(
        name=name,
        shape=(truth.shape[0], truth.shape[1], truth.shape[2]),
        true=int(np.count_nonzero(truth)),
        found=int(np.count_nonzero(mask)),
        both=int(np.count_nonzero(truth & mask)),
        slice_counts=np.stack([part.sum(axis=(1, 2), dtype=np.int64) for part in (truth, mask, truth & mask)], axis=1),
        slice_dice=np.array([dice(a, b) for a, b in zip(truth, mask, strict=True)]),
        lesion_slices=lesion_slices,
        lesions=match_lesions(truth, mask, contiguous),
        surface=(surfaces.hd95 or 0.0, surfaces.surface_dice or 0.0, surfaces.defined, surfaces.undefined),
        false_pixels=int(np.count_nonzero(mask[~lesion_slices])),
        pixel_mm2=pixel_mm2,
        voxel_ml=pixel_mm2 * slice_mm / 1000 if has_volume and pixel_mm2 and slice_mm else None,
        reliability=bin_probabilities(inside, lesion),
        logits=bin_logits(inside, lesion),
        seconds=seconds,
    )


def match_lesions(truth: Mask, mask: Mask, contiguous: bool = True) -> LesionMatch:
    """Match the lesions of two masks (S, H, W), components as in `core.measure.lesions.find_lesions`."""
    from scipy import ndimage  # type: ignore[import-untyped]

    neighbours = neighbourhood(contiguous)
    true_labels, true = ndimage.label(truth, structure=neighbours)
    found_labels, predicted = ndimage.label(mask, structure=neighbours)
    both = truth & mask
    touched: list[list[int]] = [[] for _ in range(predicted)]
    for candidate, lesion in np.unique(np.stack([found_labels[both], true_labels[both]], axis=1), axis=0) - 1:
        touched[candidate].append(int(lesion))
    sizes = np.bincount(found_labels.ravel(), minlength=predicted + 1)[1:]
    return LesionMatch(
        int(true),
        tuple(Candidate(int(size), tuple(lesions)) for size, lesions in zip(sizes, touched, strict=True)),
    )


def gather_matches(matches: Sequence[LesionMatch]) -> LesionMatch:
    """A patient's lesions from those of all their cases."""
    candidates: list[Candidate] = []
    true = 0
    for match in matches:
        candidates += [
            Candidate(one.voxels, tuple(true + lesion for lesion in one.lesions)) for one in match.candidates
        ]
        true += match.true
    return LesionMatch(true, tuple(candidates))


def bin_probabilities(probability: NDArray[np.float32], lesion: Mask) -> Reliability:
    """Sort voxels by their probability into BINS bins of equal width; the last one includes 1.

    Args:
        probability: (voxels,) in [0, 1].
        lesion: (voxels,) whether each is lesion.
    """
    bins = np.minimum((probability * np.float32(BINS)).astype(np.int64), BINS - 1)
    return Reliability(
        np.bincount(bins, minlength=BINS),
        np.bincount(bins, weights=probability.astype(np.float64), minlength=BINS).astype(np.float64),
        np.bincount(bins[lesion], minlength=BINS),
    )


def bin_logits(probability: NDArray[np.float32], lesion: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count voxels by the logit of their probability.

    Args:
        probability: (voxels,) in [0, 1].
        lesion: (voxels,) whether each is lesion.

    Returns:
        (2, LOGIT_BINS): how many voxels lie in each bin, and how many of them are lesion.
    """
    logits = logits_of(probability)
    np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT, out=logits)
    bins = ((logits + LOGIT_LIMIT) / LOGIT_STEP).astype(np.int16).clip(max=LOGIT_BINS - 1)
    return np.stack([np.bincount(part, minlength=LOGIT_BINS) for part in (bins, bins[lesion])])


def with_empty_outlines(row: Mapping[str, Any]) -> dict[str, Any]:
    """A patient's row with its surface Dice over all slices that either mask has something in, 0 where only one has."""
    measured, missing = row["slices_measured"], row["slices_without_distance"]
    in_mm = row["hd95_mm"] is not None or row["true_ml"] is not None or row["false_area_mm2"] is not None
    added: dict[str, float | None] = {"surface_dice_all_mm": None, "surface_dice_all_px": None}
    for unit in ("mm", "px"):
        value = row[f"surface_dice_{unit}"]
        if value is not None:
            added[f"surface_dice_all_{unit}"] = round(value * measured / (measured + missing), DECIMALS)
        elif missing and not measured and in_mm == (unit == "mm"):
            added[f"surface_dice_all_{unit}"] = 0.0
    return {**row, **added}


def score_patient(patient: str, cases: Sequence[CaseScores]) -> dict[str, Any]:
    """A patient's measures from the counts of all their cases.

    Returns:
        JSON-ready values: counts, and each of `METRICS` by its key, None where it is not defined for this patient (no
        true lesion, no slice with a distance, no empty slice, spacing not known or known of some cases only).
    """
    slice_dice = np.concatenate([case.slice_dice for case in cases])
    with_lesion = np.concatenate([case.lesion_slices for case in cases])
    true, found, both = (sum(getattr(case, key) for case in cases) for key in ("true", "found", "both"))
    lesions = gather_matches([case.lesions for case in cases])
    in_mm = all(case.pixel_mm2 is not None for case in cases)
    # Distances in mm and in pixels have no mean, nor have shares within 2 of the one and of the other.
    alike = in_mm or all(case.pixel_mm2 is None for case in cases)
    measured = sum(case.surface[2] for case in cases)
    hd95 = sum(case.surface[0] * case.surface[2] for case in cases) / measured if measured and alike else None
    surface_dice = sum(case.surface[1] * case.surface[2] for case in cases) / measured if measured and alike else None
    empty = int(np.count_nonzero(~with_lesion))
    in_ml = all(case.voxel_ml is not None for case in cases)
    true_ml, found_ml, both_ml = (
        sum(getattr(case, key) * (case.voxel_ml or 0.0) for case in cases) if in_ml else None
        for key in ("true", "found", "both")
    )
    volumes = true, found, both
    if in_ml and len({case.voxel_ml for case in cases}) > 1:  # of visits with different voxels, volumes are added
        volumes = true_ml, found_ml, both_ml
    false_px = sum(case.false_pixels for case in cases)
    false_mm2 = sum(case.false_pixels * (case.pixel_mm2 or 0.0) for case in cases)
    reliability = Reliability(
        np.sum([case.reliability.voxels for case in cases], axis=0),
        np.sum([case.reliability.probability for case in cases], axis=0),
        np.sum([case.reliability.lesion for case in cases], axis=0),
    )
    values: dict[str, Any] = {
        "patient": patient,
        "site": site_of(patient),
        "cases": [case.name for case in cases],
        "slices": len(slice_dice),
        "slices_with_lesion": int(np.count_nonzero(with_lesion)),
        "true_voxels": true,
        "found_voxels": found,
        "true_ml": true_ml,
        "found_ml": found_ml,
        "lesions_true": lesions.true,
        "lesions_found": lesions.found,
        "lesions_predicted": len(lesions.candidates),
        "lesions_false": lesions.false,
        "slices_measured": measured,
        "slices_without_distance": sum(case.surface[3] for case in cases),
        "dice": 2 * volumes[2] / (volumes[0] + volumes[1]) if true + found else 1.0,
        "tumour_slice_dice": float(slice_dice[with_lesion].mean()) if with_lesion.any() else None,
        "all_slice_dice": float(slice_dice.mean()),
        "lesion_sensitivity": lesions.found / lesions.true if lesions.true else None,
        "false_positives_per_scan": lesions.false / len(cases),
        "hd95_mm": hd95 if in_mm else None,
        "hd95_px": None if in_mm else hd95,
        "surface_dice_mm": surface_dice if in_mm else None,
        "surface_dice_px": None if in_mm else surface_dice,
        "volume_bias_ml": found_ml - true_ml if found_ml is not None and true_ml is not None else None,
        "volume_bias_voxels": None if in_ml else float(found - true),
        "false_area_mm2": false_mm2 / empty if empty and in_mm else None,
        "false_area_px": false_px / empty if empty and not in_mm else None,
        "calibration_error": reliability.error,
        "seconds": sum(case.seconds for case in cases) / len(cases),
        "reliability": {
            "voxels": reliability.voxels.tolist(),
            "probability": [round(value, 3) for value in reliability.probability.tolist()],
            "lesion": reliability.lesion.tolist(),
        },
        "candidates": sorted(([one.voxels, list(one.lesions)] for one in lesions.candidates), reverse=True),
        "logits": np.sum([case.logits for case in cases], axis=0).tolist(),
    }
    plain = {key: round(value, DECIMALS) if isinstance(value, float) else value for key, value in values.items()}
    return with_empty_outlines(plain)
