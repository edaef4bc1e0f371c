from __future__ import annotations

import json

from benchmarks.rows import Row, not_measured
from benchmarks.timing import Timing


def test_rows_have_the_same_keys_whether_measured_or_not() -> None:
    measured = Row("network", "x", "cpu", "fp32", 2, (256, 200), Timing((1.0, 2.0, 3.0))).to_json()
    missing = not_measured("network", "x", "cuda", "no CUDA device").to_json()
    assert list(measured) == list(missing)
    assert (measured["status"], measured["ms"], measured["rounds"]) == ("measured", 2.0, 3)
    assert measured["size"] == "256×200"
    assert (missing["status"], missing["ms"], missing["note"]) == ("not measured", None, "no CUDA device")
    assert json.loads(json.dumps([measured, missing])) == [measured, missing]


def test_a_row_is_compared_with_one_of_the_same_rounds() -> None:
    one = Row("CLAHE", "one", "cpu", timing=Timing((2.0, 4.0)))
    other = Row("CLAHE", "other", "cpu", timing=Timing((1.0, 2.0)))
    told = one.against(other).to_json()
    assert (told["ratio"], told["ratio_to"]) == (2.0, "other")
    missing = not_measured("CLAHE", "missing", "cuda", "no CUDA device")
    assert one.against(missing) == one
    assert missing.against(one) == missing
