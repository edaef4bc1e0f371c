"""How far answers may lie apart, in one table. Tests read it through the fixture `tolerances`.

Logits are compared by their greatest absolute difference; masks by the part of the reference's lesion pixels that
changed. The reference is always eager float32 on the CPU, on the whole picture.
"""

from __future__ import annotations

TOLERANCES: dict[str, float] = {
    # logits
    "tiled logits, float64": 1e-10,
    "tiled logits, float32": 1e-5,
    "channels-last logits": 1e-5,
    "batched logits": 1e-5,
    "cuda fp32 logits": 1e-4,
    # float32: a mask may differ only where the probability lies this near to the threshold
    "cuda fp32 probability": 2.5e-5,
    # reduced precision: changed part of the lesion pixels
    "bf16 changed lesion pixels": 0.02,
    "fp16 changed lesion pixels": 0.01,
}
