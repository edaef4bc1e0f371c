"""Tables as CSV text that a spreadsheet can open without harm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]], digits: int | None = 6) -> str:
    """A table with its heading; lines end as RFC 4180 says.

    Args:
        columns: the heading, and which values of a row are written, in this order.
        rows: values by column; one that is missing or None stays empty.
        digits: significant digits of a float; None writes all of them.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(columns)
    for row in rows:
        table.writerow([_cell(row.get(column), digits) for column in columns])
    return text.getvalue()


def _cell(value: object, digits: int | None) -> object:
    """A value as a spreadsheet may see it: a text is never taken for a formula."""
    if isinstance(value, float) and digits is not None:
        return f"{value:.{digits}g}"
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
