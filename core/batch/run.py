"""Case after case: read, segment, write. What is finished stays finished, whatever happens to the next."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.atomic import cannot_write, write_json
from core.batch.case import Loaded, load_case, segment_case
from core.batch.jobs import Job, Plan
from core.batch.request import Request
from core.batch.results import MANIFEST, RUN_FILES, RUN_KIND, made_by_metseg
from core.batch.resume import check_replaceable, finished_earlier
from core.batch.tables import Outcome, earlier_cases, write_tables
from core.errors import BrokenFile, Cancelled, DeviceLost, MetsegError, OutputError
from core.scan import Note
from core.system import RESEARCH_ONLY, VERSION

if TYPE_CHECKING:
    from core.inference.predictor import Predictor

if sys.platform != "win32":  # where two runs in one folder are not told apart
    import fcntl


@dataclass(frozen=True, slots=True)
class CaseBegun:
    """A case is about to be segmented; `number` of `total`, counted from 1, those kept from earlier left out."""

    name: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class CaseProgress:
    """`done` of `total` parts of the case that is being segmented."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class CaseEnded:
    """A case is done, kept or failed."""

    outcome: Outcome


Event = CaseBegun | CaseProgress | CaseEnded


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A run's end.

    Attributes:
        outcomes: of the cases reached, in the order they were named.
        earlier: results of other runs that lie in the same folder, see `earlier_cases`.
        unreached: names of the cases that were not, because somebody stopped the run.
        notes: what was left out, and results that another version made.
        seconds: the run took.
    """

    outcomes: tuple[Outcome, ...]
    earlier: tuple[Outcome, ...]
    unreached: tuple[str, ...]
    notes: tuple[Note, ...]
    seconds: float

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped the run."""
        return bool(self.unreached)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The cases without a result."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is not None)


def run_batch(
    plan: Plan,
    request: Request,
    out: Path,
    *,
    overwrite: bool = False,
    on_event: Callable[[Event], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Report:
    """Segment every case of a plan into `out`.

    A case that an earlier run finished with the same input, model and settings is taken over, unless `overwrite`. A
    case that fails is reported, and the others go on. The tables over the run are written whatever happens, also when
    an exception such as KeyboardInterrupt goes through.

    Args:
        plan: the cases.
        request: the model and its settings.
        out: the results folder; made where it does not exist.
        overwrite: replace results that are there, metseg's own only.
        on_event: is told how it goes, in this thread.
        cancelled: asked often; once it says True the run stops as soon as it can.

    Raises:
        OutputError: the results folder cannot be used at all.
        ModelError, DeviceError, UsageError: nothing can be segmented with this request on this machine, or the device
            failed on the way; the cases before stay, and the same call goes on.
    """
    begun = time.perf_counter()
    tell = on_event or (lambda event: None)
    stop = cancelled or (lambda: False)
    outcomes: dict[str, Outcome] = {}

    def end(outcome: Outcome) -> None:
        outcomes[outcome.name] = outcome
        tell(CaseEnded(outcome))

    def left_to_do(jobs: Sequence[Job]) -> list[Job]:
        waiting = []
        for job in jobs:
            known = _look_first(job, request, out, overwrite)
            if known is None:
                waiting.append(job)
            else:
                end(known)
        return waiting

    _check_folder(out)
    waiting = left_to_do(plan.jobs)
    # What cannot run at all fails here, before anything is written; where all is done, torch is not even imported.
    predictor = _predictor(request) if waiting and not stop() else None
    with _alone_in(out):
        write_json(out / MANIFEST, _run_manifest(request, "running", None))
        try:
            waiting = left_to_do(waiting)  # another run may have been through them before this one was alone
            if predictor is not None and waiting:
                _segment_all(waiting, predictor, request, out, overwrite, tell, end, stop)
        finally:
            reached = (
                *(Outcome(name, "failed", error=error) for name, error in plan.unreadable),
                *(outcomes[job.name] for job in plan.jobs if job.name in outcomes),
            )
            finished = Report(
                outcomes=reached,
                earlier=earlier_cases(out, reached),
                unreached=tuple(job.name for job in plan.jobs if job.name not in outcomes),
                notes=(*plan.notes, *_other_versions(reached)),
                seconds=time.perf_counter() - begun,
            )
            state = "stopped" if finished.stopped else "finished"
            run = _run_manifest(request, state, round(finished.seconds, 3))
            write_tables(out, finished.outcomes, finished.earlier, finished.notes, run, finished.unreached)
            write_json(out / MANIFEST, run)
    return finished


def _other_versions(outcomes: Iterable[Outcome]) -> tuple[Note, ...]:
    """A note where results are kept that this version might not give."""
    kept = [each.manifest.get("metseg") for each in outcomes if each.status == "kept" and each.manifest]
    count = sum(version != VERSION for version in kept)
    if not count:
        return ()
    cases = "1 case is" if count == 1 else f"{count:,} cases are"
    return (Note("other-version", f"{cases} kept as another version of metseg left them; --overwrite makes them anew"),)


def _check_folder(out: Path) -> None:
    """See that results may be written there, without writing any."""
    # What may not be looked at is told where it is made.
    if os.path.exists(out) and not os.path.isdir(out):  # noqa: PTH110, PTH112
        raise OutputError("this is a file; name a folder for the results", source=str(out))
    if not made_by_metseg(out, RUN_KIND):
        strange = [name for name in RUN_FILES if os.path.exists(out / name)]  # noqa: PTH110
        if strange:
            raise OutputError(
                f"it holds a {strange[0]} that metseg did not write; choose another --out", source=str(out)
            )


def _predictor(request: Request) -> Predictor:
    from core.inference.predictor import Predictor

    return Predictor(request.folder, request.device, request.precision)


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Make the results folder, and keep other runs out of it; the system lets them in when this process ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(error, out) from error
    if sys.platform == "win32":
        yield
        return
    held = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise OutputError("another run writes there; wait for it, or choose another --out", source=str(out)) from error
    except OSError:  # a file system that knows no locks
        pass
    try:
        yield
    finally:
        os.close(held)


def _run_manifest(request: Request, state: str, seconds: float | None) -> dict[str, Any]:
    return {
        "kind": RUN_KIND,
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "state": state,
        "seconds": seconds,
        "model": request.model(),
        "settings": request.settings(),
    }


def _look_first(job: Job, request: Request, out: Path, overwrite: bool) -> Outcome | None:
    """A case's outcome as far as the results folder decides it; None where it has to be segmented."""
    try:
        if overwrite:
            check_replaceable(job, out)
            return None
        manifest = finished_earlier(job, request, out)
    except OSError:
        error = BrokenFile("a file of this case cannot be read; check that it is still there", source=job.name)
        return Outcome(job.name, "failed", error=error)
    except MetsegError as error:
        return Outcome(job.name, "failed", error=error)
    return None if manifest is None else Outcome(job.name, "kept", manifest)


def _segment_all(
    jobs: Sequence[Job],
    predictor: Predictor,
    request: Request,
    out: Path,
    overwrite: bool,
    tell: Callable[[Event], None],
    end: Callable[[Outcome], None],
    stop: Callable[[], bool],
) -> None:
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="metseg-read") as pool:
        for number, (job, loading) in enumerate(_one_ahead(pool, jobs, request.series), 1):
            if stop():
                return
            tell(CaseBegun(job.name, number, len(jobs)))
            try:
                outcome = _segment_one(job, loading, predictor, request, out, overwrite, tell, stop)
            except Cancelled:
                return
            _release(outcome.error)
            end(outcome)
            del loading  # or three cases would be in memory while the next but one is being read


def _release(error: BaseException | None) -> None:
    """Let go of what the frames of an error hold, a case's scan among it; where it was raised is still told."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _one_ahead(
    pool: ThreadPoolExecutor, jobs: Sequence[Job], series: str | None
) -> Iterator[tuple[Job, Future[Loaded]]]:
    """Each job with its reading under way, while the next one's already is; never more than two cases in memory."""
    following = pool.submit(load_case, jobs[0], series)
    for index, job in enumerate(jobs):
        current = following
        if index + 1 < len(jobs):
            following = pool.submit(load_case, jobs[index + 1], series)
        yield job, current


def _segment_one(
    job: Job,
    loading: Future[Loaded],
    predictor: Predictor,
    request: Request,
    out: Path,
    overwrite: bool,
    tell: Callable[[Event], None],
    stop: Callable[[], bool],
) -> Outcome:
    try:
        manifest = segment_case(
            loading.result(),
            predictor,
            request,
            out,
            overwrite=overwrite,
            progress=lambda done, total: tell(CaseProgress(job.name, done, total)),
            cancelled=stop,
        )
    except (Cancelled, DeviceLost):  # no other case could be computed either
        raise
    except Exception as error:
        return Outcome(job.name, "failed", error=error)
    return Outcome(job.name, "done", manifest)
