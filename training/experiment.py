"""A queue of runs: a TOML file names them, each leaves its model in a scratch folder and its scores in a small file.

    name = "losses"                 # of the experiment: results go to RESULTS/losses/
    score = "inner"                 # or "fold": whom a run is scored on
    networks = ["attention-unet"]
    folds = [0]

    [base]                          # changes of TrainOptions that all runs share, dotted where they lie deeper
    inner = 0.2

    [changes.dice-ce]               # a run for each of these, network and fold
    [changes.focal-tversky]
    loss = "focal-tversky"

    [changes.no-clahe]
    "preprocessing.clip_limit" = -1.0

A run whose result is there is not run again; one that was interrupted goes on from its last finished epoch.
"""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from core.atomic import cannot_write, make_folder, write_json
from core.errors import BrokenFile, DeviceLost, InputError, NothingFound, UsageError
from core.evaluation.cases import keep_apart
from core.evaluation.folds import Folds, inner_name, load_folds, save_folds
from core.evaluation.scores import read_scores
from core.model_store import load_card
from core.networks import NETWORK_NAMES
from training.options import Stage, TrainOptions
from training.recipe import is_made_by
from training.report import Moving, Report

Score = Literal["inner", "fold"]
NAMED = {"data", "out", "cache", "network", "fold", "resume"}
"""Options that follow from the file's other entries and from the command."""
KEYS = {"name", "score", "networks", "folds", "base", "changes"}
NOBODY = "nobody is there to score; give the runs a larger inner part, or score the fold"


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One training of an experiment.

    Attributes:
        name: unique within the experiment: CHANGE-NETWORK-fFOLD.
        options: what it is told.
        result: the file that its scores go to.
        score: "inner": on the part of the training patients that was kept for it; "fold": on the held-out fold.
    """

    name: str
    options: TrainOptions
    result: Path
    score: Score

    @property
    def done(self) -> bool:
        """Whether its scores are there."""
        return self.result.is_file()

    @property
    def outdated(self) -> bool:
        """Whether the scores that are there are of other options, or other patients, than the experiment's now."""
        if not self.done:
            return False
        made = read_scores(self.result)
        scored = made.get("run", {}).get("score", self.score)
        return scored != self.score or not is_made_by(made, self.options)


@dataclasses.dataclass(frozen=True, slots=True)
class Experiment:
    """What an experiment file asks for.

    Attributes:
        name: of the experiment.
        score: of its runs.
        runs: in the order in which they are worked off: fold after fold, so that early results compare.
    """

    name: str
    score: Score
    runs: tuple[Run, ...]


def read_experiment(path: Path, data: Path, runs: Path, results: Path, cache: Path) -> Experiment:
    """Read an experiment file.

    Args:
        path: the TOML file.
        data: folder of pairs.
        runs: scratch folder for checkpoints and models.
        results: folder for the small files with scores.
        cache: folder for the preprocessed set.

    Raises:
        NothingFound: there is no such file.
        BrokenFile: it is not TOML, or lacks what it needs.
        UsageError: it names a network or an option that does not exist, nobody would be there to score, or the runs
            would lie inside the set.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        name, score = str(values["name"]), str(values.get("score", "inner"))
        networks, folds = list(values["networks"]), list(values["folds"])
        base, changes = dict(values.get("base", {})), dict(values.get("changes", {"plain": {}}))
    except OSError as error:
        raise NothingFound("there is no such experiment file", source=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise BrokenFile(f"this experiment file cannot be used ({error})", source=path.name) from error
    if score not in get_args(Score):
        raise UsageError(f"score must be inner or fold, not {score!r}", source=path.name)
    if strangers := [network for network in networks if network not in NETWORK_NAMES]:
        raise UsageError(
            f"there is no network {strangers[0]!r}; there are: {', '.join(NETWORK_NAMES)}", source=path.name
        )
    if strangers := sorted(values.keys() - KEYS):
        raise UsageError(
            f"an experiment file has no {strangers[0]!r}; what a run is told stands under [base] or [changes.NAME]",
            source=path.name,
        )
    if not folds or any(type(fold) is not int for fold in folds) or len(set(folds)) < len(folds):
        raise UsageError("folds must be whole numbers from 0, each once, such as [0, 1]", source=path.name)
    if not networks or len(set(networks)) < len(networks):
        raise UsageError("networks must be named, each once", source=path.name)
    if not all(isinstance(told, Mapping) for told in changes.values()):
        raise UsageError("under [changes] stands a name in brackets for each change, [changes.NAME]", source=path.name)
    try:
        keep_apart(data, runs / name)  # where each run is scored
    except UsageError as error:
        raise UsageError("the runs would lie inside the set, or the reverse; choose other --runs") from error
    planned = []
    for fold, (change, told), network in itertools.product(folds, changes.items(), networks):
        run = f"{change}-{network}-f{fold}"
        try:
            options = TrainOptions(data=data, out=runs / name / run, network=network, fold=fold, cache=cache)
            options = changed(changed(options, base), told)
            if options.folds and options.fold is not None:
                load_folds(options.folds).test(options.fold)
        except (UsageError, InputError) as error:
            raise UsageError(f"in {run} {error.detail}", source=path.name) from error
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"in {run} an option is of the wrong kind; see docs/training.md", source=path.name
            ) from error
        if score == "inner" and not options.inner:
            raise UsageError(f"in {run} {NOBODY}", source=path.name)
        planned.append(Run(run, options, results / name / f"{run}.json", score))  # type: ignore[arg-type]
    return Experiment(name, score, tuple(planned))  # type: ignore[arg-type]


def changed(options: Any, changes: Mapping[str, Any]) -> Any:
    """Options with some of their fields changed; `"augmentation.offset"` reaches into a field's own fields.

    Raises:
        UsageError: there is no such field, or it has no fields of its own.
    """
    if not dataclasses.is_dataclass(options) or isinstance(options, type):
        raise UsageError("an experiment changes a field that has no fields of its own; see TrainOptions")
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        if head not in {field.name for field in dataclasses.fields(options)} or head in NAMED:
            raise UsageError(f"an experiment cannot change {head!r}; see TrainOptions for what there is")
        if rest or isinstance(value, Mapping):  # TOML's dotted keys and tables come as mappings
            value = changed(getattr(options, head), {rest: value} if rest else value)
        elif head == "stages":
            value = tuple(Stage(**stage) for stage in value)
        elif isinstance(value, list):
            value = tuple(value)
        options = dataclasses.replace(options, **{head: value})
    return options


@contextmanager
def claimed(run: Run) -> Iterator[bool]:
    """Whether this process may work on the run: two processes on one queue take different runs.

    The claim is a lock on a file, which the system lets go when its process ends, however it ends.

    Raises:
        OutputError: nothing can be written into the run's folder.
    """
    make_folder(run.options.out, "--runs")
    lock = FileLock(run.options.out / "claim.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise cannot_write(error, run.options.out) from error
    try:
        yield not run.done
    finally:
        lock.release()


def run_experiment(
    experiment: Experiment,
    *,
    begin: Callable[[Run], None] | None = None,
    report: Report | None = None,
    moving: Moving | None = None,
    end: Callable[[Run, dict[str, Any]], None] | None = None,
    fail: Callable[[Run, Exception], None] | None = None,
) -> int:
    """Work off the runs that are not done and that nobody else works on.

    Two processes on one experiment share it out. To go on after any interruption, call it again.

    Args:
        experiment: as read.
        begin: told of each run before it begins or goes on.
        report: told of each epoch, see `training.report`.
        moving: told of each step.
        end: told of each run's scores.
        fail: told of a run that cannot be done, and why; the others go on. Without it the error is raised.

    Returns:
        how many runs were finished by this call.

    Raises:
        DeviceLost: the device failed; another process may find it well.
    """
    finished = 0
    for run in experiment.runs:
        if run.done:
            continue
        with claimed(run) as free:
            if not free:
                continue
            if begin:
                begin(run)
            try:
                scores = work_off(run, report, moving)
            except DeviceLost:  # to the others the device would not answer either, and "auto" take the processor
                raise
            except Exception as error:  # whatever it is, the other runs can be done
                if not fail:
                    raise
                fail(run, error)
                continue
            if end:
                end(run, scores)
            finished += 1
    return finished


def work_off(run: Run, report: Report | None = None, moving: Moving | None = None) -> dict[str, Any]:
    """Train, score and write a run's result, the last step atomically.

    Returns:
        what stands in the result: an evaluation's scores, and under `run` what was asked for. It can be compared with
        others by `metseg compare`.
    """
    from core.evaluation.evaluate import Settings, evaluate
    from training.epoch_log import minutes_of
    from training.run_folder import FOLDS
    from training.train import train

    options = run.options
    trained = train(options, report=report, moving=moving)
    card = load_card(trained.model)
    who, fold = options.out / FOLDS, options.fold
    if run.score == "inner":
        folds, watched = load_folds(who), card.data["watched"]
        if not watched:  # a share of few patients
            raise UsageError(NOBODY, source=run.name)
        name, rule = inner_name(folds.name, fold), f"inner part of {card.data['split']}"
        who, fold = options.out / "watched.json", None
        save_folds(Folds(name, rule, (tuple(watched),), folds.patients), who)
    values = evaluate(
        trained.model,
        options.data,
        options.out / "evaluation",
        folds=who,
        fold=fold,
        allow_learnt=options.may_share,
        settings=Settings(channel=options.channel, device=options.device, precision=options.precision),
        name=run.name,
        overwrite=True,
    )
    values["run"] = {
        "score": run.score,
        "inner": options.inner,
        "recipe": card.recipe,
        "preprocessing": dataclasses.asdict(card.preprocessing),
        "minutes": minutes_of(options.out),
    }
    write_json(run.result, values)
    return values
