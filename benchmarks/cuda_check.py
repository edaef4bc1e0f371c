"""Everything that wants a CUDA device, in one run: exactness, learning and times, written as one JSON file.

    python -m benchmarks.cuda_check --out cuda.json

`--device cpu` takes the same way at tiny size, to try the script where there is no such device; `--only exactness` and
`--only timings` are for a device that is lent for a few minutes at a time. The exit code is 0 when every claim held and
1 when one did not, or a part failed. The file is written anew after each part, so that a run which is cut short leaves
what it has found.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.exactness import clahe_against_opencv, precision_against_fp32, tiling_against_whole
from benchmarks.learning import learning_on
from benchmarks.machine import describe_machine
from benchmarks.plan import SECTIONS, Plan, Section
from benchmarks.subjects import PRECISIONS, Subject, missing_device, shipped_subjects, standard_subjects
from benchmarks.timing import Effort
from core.atomic import write_json

SCHEMA = 2
TILING_TOLERANCE = 1e-10
"""Of float64, in which a halo that is too small would show and rounding does not."""
PRECISE = 1e-3
"""Logits in float32 may lie so far from the CPU's; TF32 in place of it moves them by more."""
KINDS = ("exactness", "timings")
ALIKE = 0.95
"""Least Dice of a mask in bf16 or fp16 with that in float32."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done.

    Attributes:
        subjects: the networks.
        timings: what is timed.
        clahe_pictures, clahe_longest: random pictures, and the longest side of one.
        tiling_pictures, tiling_largest: pictures for each network and depth, and the size of the largest.
        slices: synthetic slices on which precisions are compared.
    """

    subjects: tuple[Subject, ...]
    timings: Plan
    clahe_pictures: int
    clahe_longest: int
    tiling_pictures: int
    tiling_largest: tuple[int, int]
    slices: int


def full_scale(device: str) -> Scale:
    """For a CUDA device: the standard and the shipped widths."""
    plan = Plan(
        Effort(least=10, seconds=1.0), clahe_batch=64, precisions=PRECISIONS[device.partition(":")[0]], slices=32
    )
    subjects = (*standard_subjects(), *shipped_subjects())
    return Scale(subjects, plan, 10_000, 700, 24, (700, 500), 32)


def tiny_scale() -> Scale:
    """For trying the script on a CPU, within seconds."""
    plan = Plan(
        Effort(warm_up=1, least=2, most=2, seconds=0.0),
        batches={"cpu": (1, 2)},
        clahe_batch=2,
        precisions=PRECISIONS["cpu"],
        slices=2,
        side=64,
        large_side=160,
        window=112,
    )
    subjects = (Subject("nested-unet", (4, 6, 8)), Subject("attention-unet", (4, 6, 8)))
    return Scale(subjects, plan, 40, 60, 3, (150, 130), 2)


def check(
    device: str,
    scale: Scale,
    say: Callable[[str], None] = print,
    keep: Callable[[dict[str, Any]], None] = lambda report: None,
    kinds: Sequence[str] = KINDS,
) -> dict[str, Any]:
    """Do all parts; one that fails leaves its error behind and the others go on.

    Args:
        device: "cuda", "cuda:N" or "cpu".
        scale: how much is done.
        say: is told what was done, and each time.
        keep: is given what there is after each part, as it is returned in the end.
        kinds: of `KINDS`, the parts that are done.

    Returns:
        JSON-ready: machine, exactness, timings, and for each claim whether it held (None where it was not tested).
    """
    subjects, plan, precisions = scale.subjects, scale.timings, PRECISIONS[device.partition(":")[0]]
    parts: dict[tuple[str, str], Callable[[], Any]] = {
        ("exactness", "CLAHE"): lambda: clahe_against_opencv(device, scale.clahe_pictures, scale.clahe_longest),
        ("exactness", "tiling"): lambda: list(
            tiling_against_whole(subjects, device, scale.tiling_pictures, scale.tiling_largest)
        ),
        ("exactness", "precision"): lambda: list(
            precision_against_fp32(subjects, device, precisions, scale.slices, plan.side)
        ),
        ("exactness", "learning"): lambda: list(learning_on(subjects, device, precisions, plan.side // 2)),
        **{
            ("timings", name): partial(_told, section, plan, subjects, device, say)
            for name, section in SECTIONS.items()
        },
    }
    start = time.perf_counter()
    report: dict[str, Any] = {
        "schema": SCHEMA, "device": device, "machine": describe_machine(), "claims": _claims({}), "exactness": {},
        "timings": {}, "errors": {}, "seconds": 0.0,
    }  # fmt: skip
    for (kind, name), part in parts.items():
        if kind not in kinds:
            continue
        began = time.perf_counter()
        try:
            report[kind][name] = part()
        except Exception as error:
            traceback.print_exc()
            report["errors"][f"{kind}: {name}"] = f"{type(error).__name__}: {error}".partition("\n")[0]
        report |= {"claims": _claims(report["exactness"]), "seconds": round(time.perf_counter() - start, 1)}
        outcome = "done" if name in report[kind] else "failed"
        say(f"{kind}: {name} {outcome} after {time.perf_counter() - began:.1f} s")
        keep(report)
    return report


def _claims(found: dict[str, Any]) -> dict[str, bool | None]:
    """What the exactness that was found bears out; None of what is not there."""

    def holds(part: str, rule: Callable[[Any], bool]) -> bool | None:
        return rule(found[part]) if part in found else None

    def every(rule: Callable[[dict[str, Any]], bool]) -> Callable[[Any], bool]:
        return lambda entries: all(map(rule, entries))

    return {
        "CLAHE equals OpenCV in every pixel": holds("CLAHE", lambda entry: bool(entry["most"] == 0)),
        # Another shape may have another kernel, and either answer is off by float32's own error.
        "tiled float32 logits are as close to the whole picture's as float32 lets them": holds(
            "tiling", every(lambda entry: entry["float32"] <= max(1e-5, 2 * entry["error_of_float32"]))
        ),
        f"tiled float64 logits are within {TILING_TOLERANCE:g} of the whole picture's": holds(
            "tiling", every(lambda entry: entry["float64"] <= TILING_TOLERANCE)
        ),
        f"float32 logits are within {PRECISE:g} of the CPU's": holds(
            "precision",
            every(lambda entry: entry["precision"] != "fp32" or entry["largest_difference_in_logits"] <= PRECISE),
        ),
        f"masks in reduced precision have a Dice of {ALIKE:g} or more with float32's": holds(
            "precision", every(lambda entry: entry["dice"] >= ALIKE)
        ),
        "no batch had to be repeated": holds("precision", every(lambda entry: not entry["fallbacks"])),
        "networks learn in every precision": holds("learning", every(lambda entry: bool(entry["learnt"]))),
    }


def _told(
    section: Section, plan: Plan, subjects: Sequence[Subject], device: str, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The section's rows as JSON, each said as soon as it is there."""
    told = []
    for row in section(plan, subjects, device):
        entry = row.to_json()
        time_taken = entry["status"] if entry["ms"] is None else f"{entry['ms']} ms"
        say(f"  {entry['what']}  {entry['device']} {entry['precision']}  batch {entry['batch']}  {time_taken}")
        told.append(entry)
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; see the top of this file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda_check", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try the script at tiny size")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--only", choices=KINDS, help="do this half alone")
    given = parser.parse_args(arguments)
    if why := missing_device(given.device):
        print(f"not measured: {why}", file=sys.stderr)
        return 2
    scale = tiny_scale() if given.device == "cpu" else full_scale(given.device)
    kinds = (given.only,) if given.only else KINDS
    report = check(given.device, scale, keep=lambda report: write_json(given.out, report), kinds=kinds)
    for claim, held in report["claims"].items():
        print(f"{'not tested' if held is None else 'holds' if held else 'DOES NOT HOLD'}: {claim}")
    held = all(report["claims"].values()) or "exactness" not in kinds
    return 0 if held and not report["errors"] else 1


if __name__ == "__main__":
    sys.exit(main())
