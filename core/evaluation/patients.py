"""Who a patient is: what the names of files tell, or what the user says about them."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BrokenFile, InputError, NothingFound, UsageError
from core.io.formats import format_of
from core.io.limits import ReadLimits
from core.io.names import SEG_ENDS, bids_subject, stem_of
from core.scan import SLICE_GAP, Note, ScanSource

LGG_PATIENT = re.compile(r"(TCGA[-_]([A-Z0-9]{2})[-_][A-Z0-9]{4})([-_].+)?")
BRATS = re.compile(r"brats", re.IGNORECASE)
BRATS_PATIENT = re.compile(r"(BraTS-[A-Z]+-\d{5})-\d{3}([-_].+)?")


@dataclass(frozen=True, slots=True)
class PatientRule:
    """How patients are told from names; at most one of the first two is given.

    Without either, a case's name tells the patient, see `patient_of`; and volumes that share a mask whose name ends in
    `-seg` or `_seg` are one patient's sequences.

    Attributes:
        pattern: a regular expression with one group, searched in a file's path below the set's folder.
        files: from a file's path below that folder, its name, its stem, or its case's name to the patient.
        each_image: somebody vouches that every image is of another patient.
    """

    pattern: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    each_image: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values, without what says nothing."""
        values: dict[str, Any] = {"pattern": self.pattern, "files": dict(self.files), "each_image": self.each_image}
        return {key: value for key, value in values.items() if value}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> PatientRule:
        """What `to_json` gave.

        Raises:
            TypeError, ValueError: it did not give this.
        """
        files = {str(file): str(patient) for file, patient in dict(values.get("files", {})).items()}
        rule = PatientRule(str(values.get("pattern", "")), files, values.get("each_image", False) is True)
        if rule.pattern and re.compile(rule.pattern).groups != 1:
            raise ValueError("the pattern must have one group")
        return rule


@dataclass(frozen=True, slots=True)
class Case:
    """A scan with its truth, and whose it is."""

    patient: str
    source: ScanSource


def patient_of(case: str) -> str:
    """The patient whom a case's name tells.

    TCGA and BraTS names go without the date or number of the visit, BIDS names up to the subject, any other as it is.
    """
    if found := LGG_PATIENT.fullmatch(case):
        return found.group(1).replace("-", "_")  # the LGG set's way; TCGA itself has hyphens
    if found := BRATS_PATIENT.fullmatch(case):
        return found.group(1)
    return bids_subject(case) or case


def spelled(patient: str) -> str:
    """A name of the Cancer Genome Atlas as the LGG set writes it, whoever wrote it; any other as it is."""
    return patient_of(patient) if LGG_PATIENT.fullmatch(patient) else patient


def may_be_another(patients: Iterable[str], others: Iterable[str]) -> bool:
    """Whether some are of BraTS, which holds patients of the Cancer Genome Atlas resampled, and some others of that."""
    return any(map(BRATS.match, patients)) and any(map(LGG_PATIENT.fullmatch, others))


def site_of(patient: str) -> str:
    """The site that a patient's name tells (the two letters after TCGA_), or an empty string.

    A name that goes on, as of a slice that counts as a patient, is not a patient's.
    """
    found = LGG_PATIENT.fullmatch(patient)
    return found.group(2) if found and not found.group(3) else ""


def parse_rule(text: str | None, each_image: bool = False) -> PatientRule:
    """What the user says about patients.

    Args:
        text: a CSV file with the columns file and patient, or a regular expression with one group; None says nothing.
        each_image: every image is of another patient.

    Raises:
        UsageError: the expression cannot be used.
        NothingFound, BrokenFile: the CSV file is missing, or is not one.
    """
    if text is None:
        return PatientRule(each_image=each_image)
    if os.path.isfile(text):  # noqa: PTH113 - an expression may be longer than a path
        return PatientRule(files=_read_csv(Path(text)), each_image=each_image)
    if text.lower().endswith(".csv"):
        raise NothingFound("there is no such table of patients; check the path", source=text)
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise UsageError(
            f"this is no regular expression ({error.msg}), and no CSV file either; mend it", source=text
        ) from error
    if groups != 1:
        raise UsageError(
            f"the regular expression has {groups} groups; put the one part that is the patient into (…)", source=text
        )
    return PatientRule(text, each_image=each_image)


def name_patients(sources: Iterable[ScanSource], root: Path, rule: PatientRule) -> tuple[Case, ...]:
    """Say whose each case is; a case whose files belong to several patients becomes one case for each of them.

    Args:
        sources: the cases of a set.
        root: the set's folder.
        rule: how names tell patients.

    Raises:
        InputError: the rule does not tell the patient of a file.
    """
    cases: list[Case] = []
    for source in sources:
        masks = source.mask_paths or (None,) * len(source.paths)
        patients = [_patient(source, *files, root, rule) for files in zip(source.paths, masks, strict=True)]
        whose = dict.fromkeys(patients)
        if len(whose) == 1:
            cases.append(Case(patients[0], source))
        for patient in whose if len(whose) > 1 else ():
            chosen = [index for index, name in enumerate(patients) if name == patient]
            part = ScanSource(
                f"{source.name}-{patient}",
                tuple(source.paths[index] for index in chosen),
                tuple(source.mask_paths[index] for index in chosen) if source.mask_paths else (),
                source.notes if chosen[-1] - chosen[0] == len(chosen) - 1 else (*source.notes, _TAKEN_APART),
            )
            cases.append(Case(patient, part))
    return tuple(cases)


def require_patients(cases: Iterable[Case], rule: PatientRule) -> None:
    """Refuse a set in which two patients share a mask, or most cases are single pictures that each pass for a patient.

    One patient would then be learnt from and scored, and intervals over patients would be over pictures.

    Raises:
        InputError: it is such a set; for single pictures, nobody vouched for it.
    """
    everyone = tuple(cases)
    whose: dict[Path, str] = {}
    for case in everyone:
        for mask in case.source.mask_paths:
            if mask is not None and whose.setdefault(mask, case.patient) != case.patient:
                raise InputError(
                    "two patients share this mask, so they are one; say with --patients how names tell patients",
                    source=mask.name,
                )
    if len(everyone) < 2 or rule.pattern or rule.files or rule.each_image:
        return
    unnamed = [case for case in everyone if case.patient == case.source.name and not site_of(case.patient)]
    lone = [case for case in unnamed if _is_lone_picture(case.source)]
    if 2 * len(lone) > len(everyone):
        raise InputError(
            f"{len(lone)} of {len(everyone)} cases are single pictures whose names do not tell the patient; say with "
            "--patients how to tell, or with --each-image that no two are of one patient",
            source=lone[0].source.name,
        )


_TAKEN_APART = Note(
    SLICE_GAP, "Slices of other patients lay between these, so nothing is measured from slice to slice."
)


def _patient(source: ScanSource, path: Path, mask: Path | None, root: Path, rule: PatientRule) -> str:
    below = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    if rule.files:
        for key in (below, path.name, path.stem, source.name):
            if key in rule.files:
                return rule.files[key]
        raise InputError("the table of patients does not name this file; add it", source=below)
    if rule.pattern:
        found = re.search(rule.pattern, below)
        if not found or not found.group(1):
            raise InputError("the expression given with --patients finds no patient in this name", source=below)
        return found.group(1)
    # Where one name occurs twice, the case's has folders in front; the file's has not.
    return bids_subject(stem_of(path.name)) or patient_of(_without_sequence(source.name, path, mask))


def _without_sequence(name: str, path: Path, mask: Path | None) -> str:
    """A case's name without what tells apart the sequences of one mask: `A-t1` and `A-t2`, whose mask is `A-seg`."""
    if mask is None or not (stem := stem_of(mask.name)).lower().endswith(SEG_ENDS):
        return name
    image, shared = stem_of(path.name), stem[: -len("seg")]
    return name.removesuffix(image[len(shared) - 1 :]) if image.startswith(shared) else name


def _read_csv(path: Path) -> dict[str, str]:
    unfit = BrokenFile("this is not a table with the columns file and patient; write one row for each file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        semicolons = bool(lines) and ";" in lines[0] and "," not in lines[0]  # spreadsheets of half the world
        rows = list(csv.reader(lines, delimiter=";" if semicolons else ","))
    except (OSError, ValueError, csv.Error) as error:
        raise BrokenFile(unfit.detail, source=path.name) from error
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if rows and [cell.lower() for cell in rows[0][:2]] == ["file", "patient"]:
        rows = rows[1:]
    if not rows or any(len(row) < 2 or not row[0] or not row[1] for row in rows):
        raise BrokenFile(unfit.detail, source=path.name)
    files = {row[0].replace("\\", "/"): row[1] for row in rows}
    twice = next((row[0] for row in rows if files[row[0].replace("\\", "/")] != row[1]), None)
    if twice is not None:
        raise BrokenFile("the table of patients gives this file to two patients; mend it", source=twice)
    return files


def _is_lone_picture(source: ScanSource) -> bool:
    if len(source.paths) != 1:
        return False
    try:
        content = source.paths[0].read_bytes()
        return format_of(content).measure(content, ReadLimits()).slices == 1
    except (OSError, InputError):  # what cannot be read is complained of by whoever reads it
        return False
