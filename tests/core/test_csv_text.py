import csv
import io

import pytest

from core.csv_text import csv_text


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_is_never_taken_for_a_formula(start: str) -> None:
    assert read(csv_text(("a",), [{"a": f"{start}HYPERLINK(1)"}])) == [{"a": f"'{start}HYPERLINK(1)"}]


def test_numbers_are_short_or_whole_and_keep_their_sign() -> None:
    rows = [{"a": -1 / 3, "b": -7}]
    assert read(csv_text(("a", "b"), rows)) == [{"a": "-0.333333", "b": "-7"}]
    assert float(read(csv_text(("a", "b"), rows, digits=None))[0]["a"]) == -1 / 3


def test_what_is_missing_or_unknown_stays_empty_and_what_is_not_asked_for_is_left_out() -> None:
    assert csv_text(("a", "b"), [{"a": None, "c": 1}]) == "a,b\r\n,\r\n"


def test_quotes_commas_and_line_ends_come_back() -> None:
    text = 'a "quoted", line\r\nand another'
    assert read(csv_text(("a",), [{"a": text}])) == [{"a": text}]
