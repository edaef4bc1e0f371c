"""Folds by patient: how a set is divided so that no patient is learnt from and scored.

A fold file is JSON: `{"name": …, "rule": …, "folds": [["patient", …], …]}`, and where names do not tell the patient
by themselves `"patients"`, which says how they do (`core.evaluation.patients.PatientRule`).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.atomic import write_json
from core.errors import BrokenFile, InputError, NothingFound
from core.evaluation.patients import PatientRule

SHIPPED = Path(__file__).parent / "folds"


@dataclass(frozen=True, slots=True)
class Patient:
    """What stratification goes by: a patient's name, site and lesion size in voxels."""

    name: str
    site: str
    lesion_voxels: int


@dataclass(frozen=True, slots=True)
class Folds:
    """Disjoint groups of patients.

    Attributes:
        name: of the set.
        rule: how the groups were made, in words.
        folds: patients' names, a tuple per fold.
        patients: how the names of files tell these patients.
    """

    name: str
    rule: str
    folds: tuple[tuple[str, ...], ...]
    patients: PatientRule = field(default_factory=PatientRule)

    def __post_init__(self) -> None:
        everyone = [patient for fold in self.folds for patient in fold]
        if len(set(everyone)) != len(everyone):
            twice = sorted({patient for patient in everyone if everyone.count(patient) > 1})
            raise InputError(f"a patient stands in two folds ({twice[0]}); mend the fold file", source=self.name)

    def test(self, fold: int) -> tuple[str, ...]:
        """The patients who are scored in a fold.

        Raises:
            InputError: there is no such fold.
        """
        if not 0 <= fold < len(self.folds):
            raise InputError(f"there is no fold {fold}; the folds are 0 to {len(self.folds) - 1}", source=self.name)
        return self.folds[fold]

    def train(self, fold: int) -> tuple[str, ...]:
        """The patients who may be learnt from when `fold` is scored."""
        held = set(self.test(fold))
        return tuple(sorted(patient for group in self.folds for patient in group if patient not in held))


def make_folds(patients: Iterable[Patient], name: str, count: int = 5, seed: int = 0) -> Folds:
    """Divide patients into folds of equal size, alike in site and in lesion volume.

    Within a site, patients go from the largest lesion to the smallest in groups of `count`. A group is dealt one to a
    fold, its largest lesion to the fold with the fewest patients and then the least lesion so far; ties are drawn.

    Raises:
        NothingFound: there are fewer patients than folds.
    """
    pool = sorted(patients, key=lambda patient: (patient.site, -patient.lesion_voxels, patient.name))
    if len(pool) < count:
        raise NothingFound(
            f"{count} folds need at least {count} patients, and there are {len(pool)}; make fewer with `metseg folds "
            "--count`, or learn from all with `metseg train --all`",
            source=name,
        )
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw, not a secret
    folds: list[list[Patient]] = [[] for _ in range(count)]
    for site in sorted({patient.site for patient in pool}):
        group = [patient for patient in pool if patient.site == site]
        for start in range(0, len(group), count):
            order = sorted(folds, key=lambda fold: (len(fold), sum(one.lesion_voxels for one in fold), draw.random()))
            for fold, patient in zip(order, group[start : start + count], strict=False):
                fold.append(patient)
    rule = f"{count} folds by patient, stratified by site and lesion volume, seed {seed}"
    return Folds(name, rule, tuple(tuple(sorted(patient.name for patient in fold)) for fold in folds))


def inner_part(patients: Iterable[str], share: float, seed: int = 0) -> tuple[str, ...]:
    """A random share of a fold's training patients, for choosing among models without touching the scored fold."""
    pool = sorted(patients)
    return tuple(sorted(random.Random(seed).sample(pool, round(share * len(pool)))))  # noqa: S311 - as above


def inner_name(folds: str, fold: int | None) -> str:
    """What an inner part of a fold's training patients is called where it is scored."""
    return f"the inner part of {folds}, fold {fold}"


def load_folds(folds: str | Path) -> Folds:
    """Read a fold file, or the shipped one of that name.

    Raises:
        NothingFound: neither is there.
        BrokenFile: it is not a fold file.
        InputError: a patient stands in two folds.
    """
    try:
        shipped = SHIPPED / f"{folds}.json"
        path = shipped if shipped.is_file() else Path(folds)
        values = json.loads(path.read_text(encoding="utf-8"))
        groups = tuple(tuple(map(str, fold)) for fold in values["folds"])
        patients = PatientRule.from_json(values.get("patients", {}))
        return Folds(str(values["name"]), str(values["rule"]), groups, patients)
    except OSError as error:
        raise NothingFound("there is no such fold file; make one with `metseg folds`", source=str(folds)) from error
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise BrokenFile("this is not a fold file; make one with `metseg folds`", source=path.name) from error


def save_folds(folds: Folds, path: Path) -> None:
    """Write a fold file.

    Raises:
        OutputError: it cannot be written.
    """
    values: dict[str, Any] = {"name": folds.name, "rule": folds.rule, "folds": folds.folds}
    if patients := folds.patients.to_json():
        values["patients"] = patients
    write_json(path, values)
