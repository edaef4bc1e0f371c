"""What charts are made of: their ticks, and the curves of a training."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.charts import ticks
from core.evaluation.curves import read_curves


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_numbers_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 8
    assert all(low - 1e-6 * span <= value <= low + span * (1 + 1e-6) for value in found)
    assert found == sorted(set(found))


def test_the_log_beside_a_model_is_read_and_anything_else_is_none(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "model").mkdir()
    log = tmp_path / "logs" / "metrics.csv"
    assert read_curves(tmp_path / "model") is None
    log.write_text("epoch,loss,step\n0,1.0,1\n1,0.5,2\n1,0.25,2\n2,nan,3\n")
    assert read_curves(tmp_path / "model") == {"loss": [[1, 1.0], [2, 0.25]]}
    for broken in ("", "epoch,loss\nx,1\n", "loss\n1\n", "epoch,loss\n0,abc\n"):
        log.write_text(broken)
        assert read_curves(tmp_path / "model") is None
