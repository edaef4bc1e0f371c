"""Whether the series that was chosen is still the one that its key names: a key is no more than a number in a list."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import AmbiguousSeries, SeriesChoice
from core.io import read_scan
from core.scan import ScanSource

NO_KEY = ""


def check_series(source: ScanSource, series: str, choices: Sequence[SeriesChoice]) -> tuple[SeriesChoice, ...]:
    """The series that a case's files hold now; the chosen one is still among them.

    Args:
        source: the case.
        series: the key that was chosen.
        choices: the series among which it was.

    Raises:
        AmbiguousSeries: they have changed, and the key does not name what it named then, or may not.
        InputError: the files cannot be read.
    """
    now = _series_in(source)
    chosen = next((choice for choice in choices if choice.key == series), None)
    alike = [choice for choice in now if chosen and choice.description == chosen.description]
    # Of several that are described alike, nothing says which one it is now.
    if now and now != tuple(choices) and alike != [chosen]:
        raise AmbiguousSeries("other series are there than when one was chosen; choose again", now)
    return now


def _series_in(source: ScanSource) -> tuple[SeriesChoice, ...]:
    """What there is to choose from; () where the format knows no series."""
    try:
        read_scan(source, series=NO_KEY)  # a key that is none: refused from the headers, with all that there are
    except AmbiguousSeries as error:
        return error.choices
    return ()
