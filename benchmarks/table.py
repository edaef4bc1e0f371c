"""This machine's table, as `metseg bench` shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.plan import QUICK_PLAN, SECTIONS, THOROUGH_PLAN, Plan
from benchmarks.subjects import Subject, shipped_subjects, standard_subjects

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What was measured, JSON-ready.

    Attributes:
        machine: see `describe_machine`; its load average tells whether other work disturbed the times.
        rows: see `Row.to_json`.
    """

    machine: dict[str, Any]
    rows: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as one object."""
        return {"machine": self.machine, "rows": list(self.rows)}


def run_bench(
    quick: bool = True,
    devices: Sequence[str] = DEVICES,
    *,
    plan: Plan | None = None,
    subjects: Sequence[Subject] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> BenchReport:
    """Measure networks, CLAHE, tiling and the whole way from path to mask.

    Args:
        quick: full depth and one picture at a time. Else also every depth of the nested network, larger batches and
            larger pictures, for many minutes on a CPU.
        devices: "cpu", "cuda", "cuda:N"; one that is not there gives rows that say so.
        plan: how much, instead of what `quick` says.
        subjects: what to measure; None is both networks at the standard width and the shipped models.
        progress: called with each row as soon as it is there.
    """
    plan = plan if plan is not None else QUICK_PLAN if quick else THOROUGH_PLAN
    subjects = subjects if subjects is not None else (*standard_subjects(), *shipped_subjects())
    machine = describe_machine()
    rows: list[dict[str, Any]] = []
    for device in devices:
        for section in SECTIONS.values():
            for row in section(plan, subjects, device):
                rows.append(row.to_json())
                if progress is not None:
                    progress(rows[-1])
    return BenchReport(machine, tuple(rows))
