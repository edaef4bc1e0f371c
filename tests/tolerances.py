"""How far answers may lie apart, in one table. Tests read it through the fixture `tolerances`.

Logits are compared by their absolute difference, the greatest if nothing else is said; masks by the part of the
reference's lesion pixels that changed. The reference is always eager float32 on the CPU, on the whole picture.
"""

from __future__ import annotations

TOLERANCES: dict[str, float] = {
    # tiled against whole
    "tiled logits, float64": 1e-10,
    "tiled logits, float32": 1e-5,
    "tiled probability": 1e-5,
    # the engine against the plain network
    "channels-last logits": 1e-5,
    "cuda fp32 logits": 1e-4,
    # reduced precision, for tiny networks with random weights whose logits have deviation 1
    "bf16 logits, mean": 0.08,
    "fp16 logits, mean": 0.01,
    # reduced precision, for the models that come with metseg, on real slices
    "bf16 changed lesion pixels": 0.02,
}
