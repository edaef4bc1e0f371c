"""How a run tells of itself while it goes on."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[float, int, int, dict[str, float]], None]
"""Called with seconds since the start, epochs done, epochs in all, and the figures of the epoch that ended."""

Moving = Callable[[float, int, int], None]
"""Called after every step with the share of the whole course that is done, the epoch from 1, and epochs in all."""
