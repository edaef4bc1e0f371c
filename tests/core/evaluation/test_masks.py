"""The masks that an evaluation leaves say which model made them, and how."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from core.evaluation.evaluate import Settings, evaluate
from core.model_card import PreprocessSettings
from core.model_store import load_card


def test_the_json_beside_a_bids_mask_names_the_model_and_the_threshold(
    make_model: Callable[..., Path], draw: Callable[..., Any], tmp_path: Path
) -> None:
    images, truth = draw(0)
    (tmp_path / "set").mkdir()
    for name, values in (("FLAIR", images), ("FLAIR_mask", truth.astype(np.uint8))):
        nib.save(nib.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), tmp_path / "set" / f"sub-01_{name}.nii")
    model = make_model(tmp_path / "m", preprocessing=PreprocessSettings(size=64))
    evaluate(model, tmp_path / "set", tmp_path / "out", settings=Settings(threshold=0.4, device="cpu"))
    (path,) = (tmp_path / "out").glob("masks/*/*.json")
    told = json.loads(path.read_text())
    card = load_card(model)
    assert told["Model"] == {"Name": card.name, "Version": card.version}
    assert told["Threshold"] == 0.4
