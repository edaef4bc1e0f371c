"""Folds of a folder: finds its cases, looks for patients under two names, measures, divides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.evaluation.cases import find_cases
from core.evaluation.copies import print_slices, refuse_shared
from core.evaluation.folds import Folds, Patient, make_folds
from core.evaluation.patients import parse_rule, site_of
from core.io import read_mask, read_scan


def divide_folder(
    data: str | Path,
    *,
    count: int = 5,
    seed: int = 0,
    patients: str | None = None,
    each_image: bool = False,
    channel: int | str | None = None,
    may_share: bool = False,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Folds:
    """Divide a set into folds by patient, alike in site and lesion volume.

    Args:
        data: a folder that `find_cases` understands.
        count: of folds.
        seed: of the draw among equals.
        patients: a regular expression or a CSV file that tells patients; see `parse_rule`.
        each_image: every image is of another patient.
        channel: of nnU-Net's files; see `find_cases`.
        may_share: patients may share images.
        progress: called with (cases done, cases).
        tell: told in a sentence how many cases are left out, if any.

    Raises:
        UsageError: `patients` cannot be used.
        NothingFound: there are no labelled cases, or fewer patients than folds.
        InputError: a case cannot be read; patients cannot be told; two of them share images.
    """
    rule = parse_rule(patients, each_image)
    labelled = find_cases(data, rule, channel)
    if tell and labelled.left_out:
        tell(labelled.left_out)
    prints, voxels = [], Counter[str]()
    for done, case in enumerate(labelled.cases, start=1):
        prints.append(print_slices(read_scan(case.source), case.patient))
        voxels[case.patient] += int(np.count_nonzero(read_mask(case.source)))
        if progress:
            progress(done, len(labelled.cases))
    if not may_share:
        refuse_shared(prints)
    everyone = [Patient(patient, site_of(patient), voxels[patient]) for patient in labelled.patients]
    return replace(make_folds(everyone, labelled.name, count, seed), patients=rule)
