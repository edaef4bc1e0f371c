"""Figures that were measured on FLAIR slices of the LGG MRI segmentation set (Buda 2019), and that phantoms follow.

Of each of the 88 patients up to four slices with lesion and two others were drawn between 40 % and 80 % of the stack,
462 in all; `core.phantom.statistics.measure_slice` says what each figure means. The phantom's settings were chosen
until its figures fell among these, and then fixed; no model was asked what it makes of a phantom.
"""

from __future__ import annotations

# Grey level of the tissue: median over slices, and standard deviation of its logarithm.
TISSUE_LEVEL = 55.0
TISSUE_LEVEL_SPREAD = 0.2

# Noise of each of the two signals in grey levels, from the air's mean of 2.6, and deviation of its logarithm.
NOISE_LEVEL = 2.0
NOISE_SPREAD = 0.35

# For each figure of `measure_slice` its 5th, 25th, 50th, 75th and 95th percentile over the slices.
REAL_SLICES: dict[str, tuple[float, float, float, float, float]] = {
    "head_part": (0.321, 0.388, 0.428, 0.473, 0.649),
    "air_mean": (0.895, 1.845, 2.611, 3.877, 6.343),
    "air_deviation": (0.584, 1.055, 1.553, 2.033, 3.319),
    "head_25": (22.0, 30.0, 39.0, 45.0, 58.0),
    "head_50": (35.0, 47.0, 55.0, 61.0, 73.0),
    "head_75": (42.0, 56.0, 65.0, 72.0, 95.0),
    "head_95": (71.0, 97.0, 111.0, 129.0, 165.0),
    "tissue_median": (36.0, 47.0, 55.0, 61.0, 75.0),
    "tissue_5": (0.193, 0.318, 0.493, 0.683, 0.789),
    "tissue_25": (0.742, 0.870, 0.899, 0.919, 0.941),
    "tissue_75": (1.053, 1.077, 1.097, 1.118, 1.167),
    "tissue_95": (1.154, 1.200, 1.250, 1.313, 1.740),
    "scalp_95": (1.771, 2.267, 2.568, 2.965, 3.622),
    "noise": (0.008, 0.013, 0.017, 0.022, 0.035),
    "slope_50": (0.031, 0.038, 0.047, 0.064, 0.087),
    "slope_75": (0.054, 0.071, 0.087, 0.115, 0.170),
    "slope_90": (0.100, 0.133, 0.166, 0.224, 0.330),
    "slope_97": (0.176, 0.247, 0.311, 0.377, 0.529),
    "correlation_1": (0.733, 0.822, 0.869, 0.904, 0.939),
    "correlation_2": (0.423, 0.588, 0.675, 0.754, 0.830),
    "correlation_4": (0.234, 0.356, 0.453, 0.549, 0.660),
    "correlation_8": (0.093, 0.173, 0.241, 0.329, 0.456),
    "correlation_16": (0.014, 0.062, 0.105, 0.160, 0.286),
    "band_1": (0.039, 0.052, 0.067, 0.085, 0.118),
    "band_2": (0.034, 0.044, 0.053, 0.065, 0.099),
    "band_4": (0.035, 0.047, 0.057, 0.074, 0.122),
    "band_8": (0.031, 0.041, 0.055, 0.071, 0.124),
    "band_16": (0.023, 0.033, 0.046, 0.064, 0.122),
    "lesion_area": (289.0, 790.0, 1579.0, 2946.0, 5181.0),
    "lesion_roundness": (0.170, 0.322, 0.468, 0.605, 0.754),
    "lesion_solidity": (0.586, 0.747, 0.844, 0.897, 0.947),
    "lesion_brightness": (1.107, 1.339, 1.607, 1.857, 2.295),
    "lesion_contrast": (1.144, 1.333, 1.551, 1.825, 2.119),
    "lesion_5": (0.355, 0.716, 0.802, 0.851, 0.898),
    "lesion_25": (0.751, 0.891, 0.921, 0.942, 0.962),
    "lesion_75": (1.033, 1.055, 1.080, 1.106, 1.212),
    "lesion_95": (1.080, 1.123, 1.175, 1.250, 1.438),
    "wall_in_6": (1.096, 1.340, 1.640, 1.917, 2.316),
    "wall_in_3": (1.203, 1.388, 1.608, 1.861, 2.200),
    "wall": (1.043, 1.181, 1.320, 1.474, 1.680),
    "wall_out_3": (0.741, 0.901, 1.014, 1.100, 1.198),
    "wall_out_6": (0.768, 0.903, 0.985, 1.058, 1.139),
}
