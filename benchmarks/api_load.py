"""How many requests a second the server answers, beside the bare predictor: `python -m benchmarks.api_load`.

Starts `metseg serve` on a loopback port and loads it from the same machine, so clients and server share its processor.
Every answer is held against the first one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.api_clients import Load, Target, closed_loop, open_loop, quantile_ms
from benchmarks.machine import describe_machine
from core.io import encode_tiff, read_scan_bytes
from core.phantom import make_phantom

if TYPE_CHECKING:
    from core.inference import Predictor

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = (1, 4, 16)
SHARES = (0.7, 1.5, 3.0)
"""Of the capacity that the closed loop found, for the open loop."""


@contextmanager
def serving(model: str | None, queue: int) -> Iterator[tuple[int, int]]:
    """A server of its own that is ready: (port, process id)."""
    command = [sys.executable, "-m", "metseg", "serve", "--port", "0", *(("--model", model) if model else ())]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "METSEG_QUEUE": str(queue)}
    )
    try:
        assert process.stderr is not None
        port, lines = 0, []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
            if " ready: " in line:
                break
        else:
            raise SystemExit("the server did not start:\n" + "".join(lines))
        # Nobody may stop reading, or the server's log fills the pipe and the server waits.
        rest = threading.Thread(target=process.stderr.read)
        rest.start()
        yield port, process.pid
        process.terminate()
        rest.join(60)
    finally:
        process.kill()
        process.communicate()


def bare(predictor: Predictor, content: bytes, requests: int, seconds: float) -> dict[str, Any]:
    """The predictor alone, in this process: what segmenting costs without reading, encoding and a server."""
    scan = read_scan_bytes(content, "load")
    predictor.segment(scan)
    took: list[float] = []
    begun, begun_cpu = time.perf_counter(), time.process_time()
    while len(took) < requests and time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        predictor.segment(scan)
        took.append(time.perf_counter() - start)
    cpu = time.process_time() - begun_cpu
    took.sort()
    return {
        "what": "bare predictor",
        "requests": len(took),
        "good_per_second": round(len(took) / sum(took), 3),
        "p50_ms": quantile_ms(took, 0.5),
        "p95_ms": quantile_ms(took, 0.95),
        "cpu_ms_each": round(1000 * cpu / len(took), 1),
    }


@contextmanager
def watching_live(port: int) -> Iterator[list[float]]:
    """Ask /health/live ten times a second; seconds of each answer."""
    took: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            begun = time.perf_counter()
            connection.request("GET", "/health/live")
            connection.getresponse().read()
            took.append(time.perf_counter() - begun)
            connection.close()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()


def cpu_seconds(process: int) -> float:
    """Processor time that a process has used so far; 0 where /proc does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process: int) -> float | None:
    """Resident memory of a process, where /proc tells."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    return round(int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024, 1)


def run_load(
    model: str | None = None,
    *,
    clients: Sequence[int] = CLIENTS,
    shares: Sequence[float] = SHARES,
    requests: int = 64,
    seconds: float = 30.0,
    side: int = 256,
    queue: int = 64,
) -> dict[str, Any]:
    """Measure predictor and server with one phantom slice.

    Args:
        model: name or folder; None is the default model.
        clients: of the closed loops.
        shares: of the capacity found, for the open loops.
        requests: most of each measurement.
        seconds: longest time of each measurement.
        side: of the slice, in pixels.
        queue: places in the server.

    Returns:
        JSON-ready rows and the machine they belong to.
    """
    from core.inference import Predictor

    scan, _ = make_phantom(1, slices=1, size=side)
    content = encode_tiff(scan.voxels[:, 0])
    predictor = Predictor(model)
    rows: list[dict[str, Any]] = [bare(predictor, content, requests, seconds)]
    with serving(model, queue) as (port, process):
        with Target(port, content).connect() as connection:
            first, expected = Target(port, content).ask(connection)
        if first.status != 200:
            raise SystemExit(f"the server answered {first.status}")
        target, memory = Target(port, content, expected), [memory_mib(process)]

        def measure(what: str, load: Callable[[], Load]) -> float:
            cpu = cpu_seconds(process)
            row = load().row()
            cpu_ms = round(1000 * (cpu_seconds(process) - cpu) / max(int(row["requests"] or 0), 1), 1)
            rows.append({"what": what, **row, "cpu_ms_each": cpu_ms})
            return float(row["good_per_second"] or 0)

        with watching_live(port) as live:
            capacity = 0.0
            for count in clients:
                loop = partial(closed_loop, target, count, requests, seconds)
                capacity = max(capacity, measure(f"closed loop, {count} clients", loop))
                # Again and again, for a machine is seldom equally quiet all the time.
                rows.append(bare(predictor, content, requests, seconds))
            for share in shares:
                rate = share * capacity
                bounded = max(1, min(requests, int(rate * seconds)))
                measure(f"open loop, {share} of capacity", partial(open_loop, target, rate, bounded))
        memory.append(memory_mib(process))
    live.sort()
    return {
        "machine": describe_machine(),
        "model": predictor.card.name,
        "precision": predictor.precision,
        "device": predictor.device,
        "side": side,
        "upload_bytes": len(content),
        "rows": rows,
        "live": {"asked": len(live), "p95_ms": quantile_ms(live, 0.95), "longest_ms": quantile_ms(live, 1.0)},
        "memory_mib": memory,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", help="name or folder; else the default model")
    parser.add_argument("--requests", type=int, default=64, help="most requests of each measurement")
    parser.add_argument("--seconds", type=float, default=30.0, help="longest time of each measurement")
    parser.add_argument("--side", type=int, default=256, help="of the slice, in pixels")
    parser.add_argument("--queue", type=int, default=64, help="places in the server")
    given = parser.parse_args()
    report = run_load(given.model, requests=given.requests, seconds=given.seconds, side=given.side, queue=given.queue)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
