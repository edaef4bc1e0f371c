"""JSON that programs and people read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.atomic import write_json
from core.errors import OutputError

NUMBER = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    NUMBER | st.none() | st.booleans() | st.text() | st.sampled_from(["[\n 1,\n 2\n]", "[1, 2]"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(VALUES)
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, values: object) -> None:
    path = tmp_path_factory.getbasetemp() / "values.json"
    write_json(path, values)
    assert json.loads(path.read_text(encoding="utf-8")) == values


def test_lists_of_numbers_stand_on_one_line_and_others_do_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "values.json"
    write_json(path, {"points": [[1, -2.5e-07], [3]], "names": ["a", "b"], "none": []})
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in lines[1:5]] == ['"points": [', "[1, -2.5e-07],", "[3]", "],"]
    assert '"a",' in lines[6]


def test_names_that_are_no_text_are_valid_json_and_read_back(tmp_path: Path) -> None:
    names = ["M\udcfcller.png", "Müller \U0001f9e0", "\\udcfc"]
    write_json(tmp_path / "values.json", names)
    content = (tmp_path / "values.json").read_bytes()
    assert json.loads(content.decode("utf-8")) == names
    assert b"M\\udcfcller.png" in content


def test_what_cannot_be_said_or_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "values.json", [float("nan")])
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="folder cannot be made"):
        write_json(tmp_path / "file" / "values.json", [])
