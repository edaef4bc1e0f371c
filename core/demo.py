"""The work behind `metseg demo`: synthetic cases, segmented with every shipped model, and a page that shows them.

Nothing is printed here; a callback hears how it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from core.errors import Cancelled, ModelNotFound, OutputError

if TYPE_CHECKING:
    from core.batch.jobs import Job
    from core.batch.request import Request
    from core.batch.run import Event
    from core.batch.tables import Outcome

# The first seeds there are, so that nobody can have picked the cases that a model does well on.
SEEDS = (1, 2, 3, 4)
SLICES = 6
SIZE = 256
CASES_FOLDER = "cases"
RESULTS_FOLDER = "results"
PAGE = "index.html"


@dataclass(frozen=True, slots=True)
class DemoStep:
    """How far the demo is: `done` of `total` steps are behind it, and `doing` says what comes next."""

    doing: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class DemoModel:
    """What one model made of the cases.

    Attributes:
        name: the model's.
        summary: its card's one line.
        folder: its results, as `metseg segment` writes them.
        dice: of each case's whole volume, by the case's name.
        lesions: how many it found, by the case's name.
        mean_dice: over the cases.
        milliseconds_per_slice: of the middle case, reading and writing included, so that the warming up which the very
            first case pays for does not count; an earlier run's for what was kept.
    """

    name: str
    summary: str
    folder: Path
    dice: Mapping[str, float]
    lesions: Mapping[str, int]
    mean_dice: float
    milliseconds_per_slice: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The demo's outcome.

    Attributes:
        cases: the folders of the synthetic cases, whose names are the cases'.
        models: one entry per model, the default first.
        page: the HTML page.
        cases_folder: holds `cases`; something to try `metseg segment` on.
    """

    cases: tuple[Path, ...]
    models: tuple[DemoModel, ...]
    page: Path
    cases_folder: Path


def run_demo(
    out: Path,
    progress: Callable[[DemoStep], None] | None = None,
    *,
    models: Sequence[str | Path] | None = None,
    device: str = "auto",
    precision: str = "auto",
    seeds: Sequence[int] = SEEDS,
    slices: int = SLICES,
    size: int = SIZE,
    cancelled: Callable[[], bool] | None = None,
) -> DemoResult:
    """Write synthetic cases to `out/cases`, segment them into `out/results/MODEL`, and show both on `out/index.html`.

    What an earlier demo left in the folder is taken over where it is what this one would write, and replaced where not.

    Args:
        out: a folder of the demo's own; made where it is not there.
        progress: is told each step before it begins, and once when all is done.
        models: names or folders; all shipped ones by default.
        device: as for `metseg segment`.
        precision: as for `metseg segment`.
        seeds: one case each.
        slices: per case.
        size: height and width of a slice, pixels.
        cancelled: asked often; once it says True the demo stops as soon as it can.

    Returns:
        what was found and where it lies.

    Raises:
        ModelNotFound: no model came with this installation, or one of `models` isn't there.
        ModelDamaged, DeviceError, UsageError: a model cannot run like that.
        OutputError: the folder cannot be used.
        Cancelled: somebody asked to stop.
    """
    from core.batch.jobs import unique_names
    from core.batch.request import make_request
    from core.demo_page import check_page, write_page
    from core.model_store import shipped_models
    from core.phantom import write_phantom_case

    chosen = shipped_models() if models is None else models
    if not chosen:
        raise ModelNotFound("no model came with this installation; name a model folder with --model")
    requests = [make_request(model, device=device, precision=precision) for model in chosen]
    names = unique_names(request.card.name for request in requests)
    check_page(out / PAGE)

    tell, stop = progress or (lambda step: None), cancelled or (lambda: False)
    total = len(seeds) * (1 + len(requests)) + 1
    cases: list[Path] = []
    for seed in seeds:
        if stop():
            raise Cancelled("the demo was stopped; the same command goes on where it was")
        tell(DemoStep("drawing synthetic cases", len(cases), total))
        cases.append(write_phantom_case(seed, out / CASES_FOLDER, slices, size))

    found: list[DemoModel] = []
    for name, request in zip(names, requests, strict=True):
        behind = len(seeds) * (1 + len(found))
        folder = out / RESULTS_FOLDER / name
        tell(DemoStep(f"segmenting with {name}", behind, total))
        outcomes = _segment(cases, request, folder, name, behind, total, tell, stop)
        found.append(_gather(name, request.card.summary, folder, outcomes))

    tell(DemoStep("writing the page", total - 1, total))
    result = DemoResult(tuple(cases), tuple(found), out / PAGE, out / CASES_FOLDER)
    write_page(result)
    tell(DemoStep("done", total, total))
    return result


def _segment(
    cases: Sequence[Path],
    request: Request,
    folder: Path,
    name: str,
    behind: int,
    total: int,
    tell: Callable[[DemoStep], None],
    stop: Callable[[], bool],
) -> tuple[Outcome, ...]:
    """Segment the cases the way `metseg segment` does; what is there but isn't the same is made anew."""
    from core.batch.jobs import Plan, plan_jobs
    from core.batch.run import CaseBegun, CaseEnded, run_batch

    ended: set[str] = set()

    def hear(event: Event) -> None:
        if isinstance(event, CaseEnded) and event.outcome.error is None:
            ended.add(event.outcome.name)
        if isinstance(event, CaseBegun):
            tell(DemoStep(f"segmenting {event.name} with {name}", behind + len(ended), total))

    jobs: tuple[Job, ...] = plan_jobs(cases, folder).jobs
    outcomes: dict[str, Outcome] = {}
    for overwrite in (False, True):
        waiting = tuple(job for job in jobs if job.name not in ended)
        if waiting:
            report = run_batch(Plan(waiting), request, folder, overwrite=overwrite, on_event=hear, cancelled=stop)
            outcomes |= {outcome.name: outcome for outcome in report.outcomes}
            if report.stopped:
                raise Cancelled("the demo was stopped; the same command goes on where it was")
    for outcome in outcomes.values():
        if outcome.error is not None:
            raise outcome.error
    return tuple(outcomes[job.name] for job in jobs)


def _gather(name: str, summary: str, folder: Path, outcomes: Sequence[Outcome]) -> DemoModel:
    results: dict[str, Mapping[str, Any]] = {}
    milliseconds: list[float] = []
    for outcome in outcomes:
        if outcome.manifest is None or outcome.manifest["result"]["dice"] is None:
            raise OutputError("the demo's own masks cannot be read back; choose an empty folder", source=outcome.name)
        results[outcome.name] = outcome.manifest["result"]
        milliseconds.append(sum(outcome.manifest["milliseconds_per_slice"].values()))
    return DemoModel(
        name=name,
        summary=summary,
        folder=folder,
        dice={case: float(result["dice"]) for case, result in results.items()},
        lesions={case: len(result["lesions"]) for case, result in results.items()},
        mean_dice=sum(float(result["dice"]) for result in results.values()) / len(results),
        milliseconds_per_slice=median(milliseconds),
    )
