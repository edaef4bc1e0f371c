"""What a volume costs from its path to the encoded mask: processor time and peak memory, stage by stage.

    python -m benchmarks.volumes PATH [--model NAME] [--json]

Memory is what the operating system says of this process (Linux): the peak within each stage, above what the loaded
model held after its first slice. The wanted bound is four times the volume in float32.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.inference.predictor import Predictor
from core.io import Origin, encode_mask, read_scan
from core.scan import Scan

BOUND = 4
MIB = 2**20


def main() -> int:
    """Measure one volume and print the table, or JSON."""
    parser = argparse.ArgumentParser(description="Processor time and peak memory of segmenting a volume, by stage.")
    parser.add_argument("path", type=Path, help="a file or folder that `metseg segment` reads")
    parser.add_argument("--model", help="a shipped model's name or a model folder")
    parser.add_argument("--series", help="which series, where there are several")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report = measure_volume(given.path, given.model, given.series)
    print(json.dumps(report, indent=2) if given.json else table(report))
    return 0


def measure_volume(path: Path, model: str | None = None, series: str | None = None) -> dict[str, Any]:
    """Segment a volume once.

    Returns:
        sizes, and for each stage its seconds (by the clock and of the processor) and the peak of its memory in MiB
        above the baseline.
    """
    predictor = Predictor(model, "cpu")
    # A few slices of noise of a volume's usual size.
    noise = np.random.default_rng(0).integers(0, 255, (8, 1, 256, 256), dtype=np.uint8)
    predictor.segment(Scan("warm-up", noise))
    del noise
    baseline = _status("VmRSS")
    stages: list[dict[str, float | str]] = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        _forget_peak()
        clock, processor = time.perf_counter(), time.process_time()
        yield
        stages.append(
            {
                "stage": name,
                "seconds": round(time.perf_counter() - clock, 3),
                "processor_seconds": round(time.process_time() - processor, 3),
                "peak_mib": round((_status("VmHWM") - baseline) / MIB, 1),
            }
        )

    with stage("read"):
        scan = read_scan(path, series=series)
    with stage("prepare"):
        case = predictor.begin(scan)
    with stage("network"):
        while not case.complete:
            predictor.advance([case])
    with stage("lesions"):
        found = predictor.finish(case)
    with stage("write"):
        files = encode_mask(found.mask, scan, origin=Origin(predictor.card.name, predictor.card.version))
    volume = scan.voxels.size * 4 / MIB
    peak = max(float(entry["peak_mib"]) for entry in stages)
    return {
        "shape": list(scan.shape),
        "dtype": str(scan.voxels.dtype),
        "on_network_grid": list(case.prepared.images.shape),
        "model": predictor.card.name,
        "precision": predictor.precision,
        "volume_float32_mib": round(volume, 1),
        "model_mib": round(baseline / MIB, 1),
        "peak_mib": peak,
        "peak_in_volumes": round(peak / volume, 2),
        "bound_in_volumes": BOUND,
        "within_bound": peak <= BOUND * volume,
        "written": {file.name.partition("_")[2] or file.name: len(file.content) for file in files},
        "stages": stages,
    }


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    shape = "×".join(map(str, report["shape"]))
    lines = [
        f"{shape} {report['dtype']}, {report['volume_float32_mib']} MiB in float32; "
        f"{report['model']} {report['precision']}",
        f"{'stage':<10}{'seconds':>10}{'processor':>12}{'peak MiB':>12}{'volumes':>10}",
    ]
    for entry in report["stages"]:
        volumes = entry["peak_mib"] / report["volume_float32_mib"]
        lines.append(
            f"{entry['stage']:<10}{entry['seconds']:>10.2f}{entry['processor_seconds']:>12.2f}"
            f"{entry['peak_mib']:>12.1f}{volumes:>10.2f}"
        )
    held = "within" if report["within_bound"] else "ABOVE"
    lines.append(f"peak {report['peak_in_volumes']} volumes above the model's own, {held} the bound of {BOUND}")
    return "\n".join(lines)


def _status(field: str) -> int:
    """A field of this process's status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"this system does not tell {field}")


def _forget_peak() -> None:
    """Let the peak begin anew at what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    sys.exit(main())
