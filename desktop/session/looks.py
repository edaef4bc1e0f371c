"""Whether cases' files still look as they did when they were read: a quick look at sizes and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.batch.resume import look_of
from core.scan import ScanSource


def changed_looks(sources: Sequence[ScanSource], looks: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the cases whose files are gone or look different."""
    changed = []
    for source in sources:
        try:
            if look_of(source) == looks[source.name]:
                continue
        except OSError:
            pass
        changed.append(source.name)
    return tuple(changed)
