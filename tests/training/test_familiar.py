"""What a model is used to is learnt from a fold's training patients alone, and written beside its card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from core.errors import InputError
from core.evaluation.folds import Folds, save_folds
from core.model_card import PreprocessSettings
from core.phantom import make_phantom
from core.unfamiliar.judge import MEASURED
from core.unfamiliar.reference import REFERENCE_FILE, load_reference
from training.familiar import main

PATIENTS = tuple(f"P{number}" for number in range(6))
SIZE = 96


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six heads in the layout of the LGG set; what stands for T1 is darker where FLAIR is bright."""
    folder = tmp_path_factory.mktemp("data")
    for number, patient in enumerate(PATIENTS):
        scan, truth = make_phantom(number, slices=24, size=SIZE)
        (folder / patient).mkdir()
        for index, (flair, mask) in enumerate(zip(scan.voxels[:, 0], truth, strict=True), start=1):
            other = np.where(flair > 8, 255 - flair, flair)
            path = folder / patient / f"{patient}_{index}.tif"
            tifffile.imwrite(path, np.stack([other, flair, other // 2], axis=-1), photometric="rgb")
            tifffile.imwrite(path.with_name(f"{path.stem}_mask.tif"), mask * np.uint8(255))
    return folder


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folds") / "folds.json"
    save_folds(Folds("thirds", "by hand", (PATIENTS[:2], PATIENTS[2:4], PATIENTS[4:])), path)
    return path


def test_the_reference_is_of_the_training_patients_and_fits_models_with_and_without_clahe(
    data: Path, folds: Path, make_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {"even": PreprocessSettings(size=SIZE), "plain": PreprocessSettings(size=SIZE, clip_limit=-1)}
    models = [make_model(tmp_path / name, preprocessing=settings) for name, settings in kinds.items()]
    main([str(data), *map(str, models), "--folds", str(folds), "--fold", "1"])
    one, other = ((model / REFERENCE_FILE).read_bytes() for model in models)
    assert one == other
    reference = load_reference(models[0], MEASURED)
    assert reference is not None
    assert (reference.about["patients"], reference.about["held_out_fold"]) == (4, 1)
    assert reference.about["held_out"]["learnt"]["scans"] == 2
    found = reference.about["held_out"]["other_sequences"]
    assert (found["scans"], found["flagged"], found["not_judged"]) == (4, 4, 0)
    assert json.dumps(reference.about, indent=1) in capsys.readouterr().out


def test_models_of_different_grids_and_folds_of_another_set_are_refused(
    data: Path, folds: Path, make_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = make_model(tmp_path / "one", preprocessing=PreprocessSettings(size=SIZE))
    other = make_model(tmp_path / "other", preprocessing=PreprocessSettings(size=2 * SIZE))
    with pytest.raises(SystemExit):
        main([str(data), str(one), str(other), "--folds", str(folds), "--fold", "1"])
    assert "preprocessing" in capsys.readouterr().err
    with pytest.raises(InputError, match="not in this set"):
        main([str(data), str(one), "--folds", "lgg", "--fold", "0"])
    assert not (one / REFERENCE_FILE).exists()
