"""The measures that an evaluation states, one line each: what they are called, counted in and good for."""

from __future__ import annotations

from dataclasses import dataclass

from core.measure.dice import EMPTY_RULE

TOLERANCE = 2.0
"""Of the surface Dice, in millimetres where they are known, else in pixels."""

BINS = 10


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of a patient.

    Attributes:
        key: its name in scores.json and the CSV.
        label: for tables.
        unit: "" for plain numbers.
        digits: after the point.
    """

    key: str
    label: str
    unit: str
    digits: int


METRICS = (
    Metric("dice", "Dice of the whole volume", "", 3),
    Metric("tumour_slice_dice", "Dice per slice with lesion", "", 3),
    Metric("all_slice_dice", "Dice per slice, all slices", "", 3),
    Metric("lesion_sensitivity", "Lesions found", "share", 3),
    Metric("false_positives_per_scan", "False lesions per scan", "", 2),
    Metric("hd95_mm", "HD95 within slices", "mm", 2),
    Metric("hd95_px", "HD95 within slices", "px", 2),
    Metric("surface_dice_mm", f"Surface Dice at {TOLERANCE:g} mm", "", 3),
    Metric("surface_dice_px", f"Surface Dice at {TOLERANCE:g} px", "", 3),
    Metric("surface_dice_all_mm", f"Surface Dice at {TOLERANCE:g} mm, misses as 0", "", 3),
    Metric("surface_dice_all_px", f"Surface Dice at {TOLERANCE:g} px, misses as 0", "", 3),
    Metric("volume_bias_ml", "Volume found minus true", "ml", 2),
    Metric("volume_bias_voxels", "Volume found minus true", "voxels", 0),
    Metric("false_area_mm2", "False area on an empty slice", "mm²", 1),
    Metric("false_area_px", "False area on an empty slice", "px", 1),
    Metric("calibration_error", "Calibration error inside the head", "", 4),
    Metric("seconds", "Seconds per scan", "s", 2),
)
METRIC = {metric.key: metric for metric in METRICS}
COMPARED = tuple(metric for metric in METRICS if metric.key != "seconds")
"""Of two evaluations. Seconds tell how busy the machine was; benchmarks compare those side by side."""

PROTOCOL = (
    "Every figure is a mean over patients; slices, lesions and scans of a patient are gathered first. Intervals are "
    "95 % percentile bootstrap intervals over patients; two models are compared by a bootstrap of the paired "
    "differences.",
    f"{EMPTY_RULE} The whole volume counts at once, so that empty slices neither help nor harm it.",
    "Dice per slice is given twice: over the slices with true lesion, and over all slices, in which an empty slice "
    "counts as 1 when it is left empty and as 0 when something is found on it.",
    "A true lesion is found when a voxel of the mask lies on it; a lesion of the mask that lies on no true one is "
    "false. Lesions are connected regions: 26 neighbours in a volume, 8 in a slice "
    "that stands alone or next to a missing one.",
    f"Surface measures are taken within slices and averaged over the slices in which both masks have something; "
    f"surface Dice counts surface pixels within {TOLERANCE:g} mm, or {TOLERANCE:g} pixels where spacing is not known. "
    "Slices in which one mask is empty have no distance: they are counted, not averaged, so a slice that is missed "
    "altogether does no harm there, and two models' distances are over somewhat different slices. The surface Dice is "
    "given a second time, over all slices in which either mask has something, with 0 where only one has.",
    "Volume bias is the found minus the true volume, in millilitres where all spacings are known, else in voxels.",
    "False area is the mean area found on a slice that has no true lesion.",
    f"Calibration error is the mean distance, weighted by voxels, between stated probability and share of lesion over "
    f"{BINS} bins of probability, for voxels inside the head; the head is the largest bright region of each slice.",
    "Seconds cover everything from the scan in memory to its lesions, without reading and writing files.",
)
