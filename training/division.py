"""Who is who in a run."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import InputError
from core.evaluation.folds import Folds, inner_part
from training.options import TrainOptions
from training.pairs import Pairs


@dataclass(frozen=True, slots=True)
class Division:
    """A set's patients, by what a run does with them.

    Attributes:
        learn: patients who are learnt from.
        watch: the inner part, only watched.
        held: the fold that is never looked at.
        left_out: patients of the set whom the fold file does not know.
        absent: patients of the other folds who are not in the set.
        rule: how they were divided, in words.
    """

    learn: tuple[str, ...]
    watch: tuple[str, ...]
    held: tuple[str, ...]
    left_out: tuple[str, ...]
    absent: tuple[str, ...]
    rule: str


def divide(pairs: Pairs, options: TrainOptions, folds: Folds | None) -> Division:
    """Who is learnt from, who is watched, who is held out and who is left out; without folds everybody is learnt from.

    Raises:
        InputError: there is no such fold, or none of the set's patients is in the folds.
    """
    everyone = tuple(sorted(set(pairs.patients.tolist())))
    learn, rule = everyone, "every patient is learnt from"
    held: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    if folds is not None and options.fold is not None:
        known = {patient for fold in folds.folds for patient in fold}
        left_out = tuple(patient for patient in everyone if patient not in known)
        if len(left_out) == len(everyone):
            raise InputError(
                "none of this set's patients is in the fold file; make one with `metseg folds`, or divide the set anew "
                "with --folds new",
                source=str(options.data),
            )
        learn = tuple(patient for patient in folds.train(options.fold) if patient in everyone)
        absent = tuple(patient for patient in folds.train(options.fold) if patient not in everyone)
        held, rule = folds.test(options.fold), f"{folds.name}, fold {options.fold}: {folds.rule}"
    watch = inner_part(learn, options.inner, options.seed)
    return Division(tuple(patient for patient in learn if patient not in watch), watch, held, left_out, absent, rule)
