"""Figures that were measured on FLAIR slices of the LGG MRI segmentation set (Buda 2019), and that phantoms follow.

Of each of the 88 patients up to four slices with lesion and two others were drawn between 40 % and 80 % of the stack,
462 in all. The phantom's settings were chosen until its figures fell among theirs, which the tests hold it against, and
then fixed; no model was asked what it makes of a phantom.
"""

from __future__ import annotations

# Grey level of the tissue: median over slices, and standard deviation of its logarithm.
TISSUE_LEVEL = 55.0
TISSUE_LEVEL_SPREAD = 0.2

# Noise of each of the two signals in grey levels, from the air's mean of 2.6, and deviation of its logarithm.
NOISE_LEVEL = 2.0
NOISE_SPREAD = 0.35
