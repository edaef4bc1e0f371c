"""A line of the table of measurements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.timing import Timing

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement, or the statement that there is none.

    Attributes:
        subject: "network", "CLAHE", "tiling" or "end to end".
        what: which network, which implementation.
        device: "cpu", "cuda" or "cuda:N".
        precision: "fp32", "bf16", "fp16", or "" where it makes no difference.
        batch: pictures per call.
        size: (height, width) of a picture in pixels.
        timing: per picture; None is not measured.
        ratio: this time as a multiple of another that was measured in the same rounds.
        ratio_to: what that other is.
        note: what else to know; why it was not measured.
    """

    subject: str
    what: str
    device: str
    precision: str = ""
    batch: int | None = None
    size: tuple[int, int] | None = None
    timing: Timing | None = None
    ratio: float | None = None
    ratio_to: str = ""
    note: str = ""

    def against(self, other: Row) -> Row:
        """The same row, saying how it compares with another of the same rounds."""
        if self.timing is None or other.timing is None:
            return self
        return replace(self, ratio=self.timing.ratio_to(other.timing), ratio_to=other.what)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; every row has the same keys, times are milliseconds per picture."""
        low, high = self.timing.quartiles if self.timing else (None, None)
        return {
            "subject": self.subject,
            "what": self.what,
            "device": self.device,
            "precision": self.precision,
            "batch": self.batch,
            "size": None if self.size is None else f"{self.size[0]}×{self.size[1]}",
            "status": NOT_MEASURED if self.timing is None else "measured",
            "ms": _digits(self.timing.median if self.timing else None),
            "ms_low": _digits(low),
            "ms_high": _digits(high),
            "rounds": len(self.timing.samples) if self.timing else 0,
            "ratio": _digits(self.ratio),
            "ratio_to": self.ratio_to,
            "note": self.note,
        }


def not_measured(subject: str, what: str, device: str, why: str) -> Row:
    """A row that says what is missing and why."""
    return Row(subject, what, device, note=why)


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
