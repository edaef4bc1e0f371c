"""What other people's code may import from `metseg`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import metseg
from core.errors import MetsegError
from core.inference.predictor import Predictor
from core.io import find_scans, read_mask, read_scan, write_mask
from core.measure.dice import dice
from core.networks import build_network
from core.preprocess.clahe import clahe
from core.scan import Lesion, Scan, ScanSource, Segmentation

ROOT = Path(__file__).parent.parent
NAMES = {
    "Lesion": Lesion,
    "MetsegError": MetsegError,
    "Predictor": Predictor,
    "Scan": Scan,
    "ScanSource": ScanSource,
    "Segmentation": Segmentation,
    "build_network": build_network,
    "clahe": clahe,
    "dice": dice,
    "find_scans": find_scans,
    "read_mask": read_mask,
    "read_scan": read_scan,
    "write_mask": write_mask,
}


def test_exactly_these_names_are_public() -> None:
    assert metseg.__all__ == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_the_thing_itself(name: str) -> None:
    assert getattr(metseg, name) is NAMES[name]
    assert name in dir(metseg)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = metseg.no_such_name


def test_importing_metseg_imports_nothing_slow_until_a_name_is_asked_for() -> None:
    code = (
        "import sys, metseg\n"
        "slow = {'numpy', 'torch', 'cv2', 'scipy', 'rich', 'pydantic', 'core'}\n"
        "print(sorted(slow & set(sys.modules)))\n"
        "metseg.MetsegError\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['core']"]
