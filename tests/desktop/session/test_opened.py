"""What a case looks like before it is opened."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from core.scan import ScanSource
from desktop.session.opened import thumbnail


@pytest.mark.parametrize("side", [80, 512])
def test_a_lesion_of_one_pixel_shows_in_the_list(tmp_path: Path, side: int) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((side, side), 90, np.uint8))
    mask = np.zeros((1, side, side), np.bool_)
    mask[0, side // 3, side // 2] = True
    picture = thumbnail(ScanSource("a", (tmp_path / "a.png",)), None, mask)
    coloured = (picture != picture[..., :1]).any(axis=2)  # grey is equal in all three
    assert 1 <= coloured.sum() <= 4
