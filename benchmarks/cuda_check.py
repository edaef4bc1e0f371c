"""Everything that wants a CUDA device, in one run: exactness and times, written as one JSON file.

    python -m benchmarks.cuda_check --out cuda.json

`--device cpu` takes the same way at tiny size, to try the script where there is no such device. The exit code is 0 when
every claim held and 1 when one did not, or a part failed; the file is written in both cases.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.exactness import clahe_against_opencv, precision_against_fp32, tiling_against_whole
from benchmarks.machine import describe_machine
from benchmarks.plan import SECTIONS, Plan, Section
from benchmarks.subjects import PRECISIONS, Subject, missing_device, shipped_subjects, standard_subjects
from benchmarks.timing import Effort

SCHEMA = 1
TILING_TOLERANCE = 1e-10
"""Of float64, in which a halo that is too small would show and rounding does not."""


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


def check(device: str, scale: Scale, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Do all parts; one that fails leaves its error behind and the others go on.

    Returns:
        JSON-ready: machine, exactness, timings, and for each claim whether it held (None where it was not tested).
    """
    subjects, plan = scale.subjects, scale.timings
    exactness: dict[str, Callable[[], Any]] = {
        "CLAHE": lambda: clahe_against_opencv(device, scale.clahe_pictures, scale.clahe_longest),
        "tiling": lambda: list(tiling_against_whole(subjects, device, scale.tiling_pictures, scale.tiling_largest)),
        "precision": lambda: list(
            precision_against_fp32(
                subjects, device, PRECISIONS[device.partition(":")[0]], scale.slices, scale.timings.side
            )
        ),
    }
    timings = {name: partial(_told, section, plan, subjects, device, say) for name, section in SECTIONS.items()}
    machine, start, errors = describe_machine(), time.perf_counter(), dict[str, str]()

    def attempt(kind: str, parts: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        answers = {}
        for name, part in parts.items():
            began = time.perf_counter()
            try:
                answers[name] = part()
            except Exception as error:
                traceback.print_exc()
                errors[f"{kind}: {name}"] = f"{type(error).__name__}: {error}".partition("\n")[0]
            outcome = "done" if name in answers else "failed"
            say(f"{kind}: {name} {outcome} after {time.perf_counter() - began:.1f} s")
        return answers

    exact = attempt("exactness", exactness)
    return {
        "schema": SCHEMA,
        "device": device,
        "machine": machine,
        "claims": _claims(exact),
        "exactness": exact,
        "timings": attempt("timings", timings),
        "errors": errors,
        "seconds": round(time.perf_counter() - start, 1),
    }


def _claims(exact: dict[str, Any]) -> dict[str, bool | None]:
    clahe, tiling = exact.get("CLAHE"), exact.get("tiling")
    claims: dict[str, bool | None] = {
        "CLAHE equals OpenCV in every pixel": None if clahe is None else clahe["most"] == 0
    }
    # Another shape may have another kernel, and either answer is off by float32's own error.
    close = "tiled float32 logits are as close to the whole picture's as float32 lets them"
    exact = f"tiled float64 logits are within {TILING_TOLERANCE:g} of the whole picture's"
    claims |= {close: None, exact: None}
    if tiling is not None:
        claims[close] = all(entry["float32"] <= max(1e-5, 2 * entry["error_of_float32"]) for entry in tiling)
        claims[exact] = all(entry["float64"] <= TILING_TOLERANCE for entry in tiling)
    return claims


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
    given = parser.parse_args(arguments)
    if why := missing_device(given.device):
        print(f"not measured: {why}", file=sys.stderr)
        return 2
    report = check(given.device, tiny_scale() if given.device == "cpu" else full_scale(given.device))
    given.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for claim, held in report["claims"].items():
        print(f"{'not tested' if held is None else 'holds' if held else 'DOES NOT HOLD'}: {claim}")
    return 0 if not report["errors"] and all(report["claims"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
