"""Whose scan it is: copied into a segmentation as the standard asks, or replaced."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from core.io.dicom.tags import text

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
_DATE, _TIME = re.compile(r"\d{8}"), re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


def identity_of(source: Any, seed: str) -> dict[str, str]:
    """The tags of patient and study that a segmentation must have, by keyword; "" where the source has none.

    No other is copied: descriptions and comments are free text, and private tags may hold anything.

    Args:
        source: pydicom's Dataset of a source image.
        seed: stands in for a study's UID that is missing.
    """
    found = {keyword: text(source, keyword) for keyword in (*PATIENT, *STUDY)}
    if not is_uid(found["StudyInstanceUID"]):
        found["StudyInstanceUID"] = made_up_uid("study", seed)
    if found["PatientSex"] not in ("M", "F", "O"):
        found["PatientSex"] = ""
    for keyword, form in (("PatientBirthDate", _DATE), ("StudyDate", _DATE), ("StudyTime", _TIME)):
        if not form.fullmatch(found[keyword]):
            found[keyword] = ""
    return found


def replaced(identity: dict[str, str]) -> dict[str, str]:
    """Another patient and another study, the same ones for every segmentation of this study.

    They are made from a hash of the study's UID and the patient's number. Studies of one patient cannot be told to
    belong together by them.
    """
    seed = f"{identity['StudyInstanceUID']} {identity['PatientID']}"
    name = f"metseg-{_digest('patient', seed).hex()[:12]}"
    blank = dict.fromkeys((*PATIENT, *STUDY), "")
    return blank | {"PatientName": name, "PatientID": name, "StudyInstanceUID": made_up_uid("study", seed)}


def made_up_uid(purpose: str, seed: str) -> str:
    """A UID that is always the same for the same seed (a UUID's number under the root 2.25)."""
    number = int.from_bytes(_digest(purpose, seed)[:16], "big")
    number = number & ~(0xF << 76) | 0x8 << 76  # version 8: made by a rule of one's own
    number = number & ~(0x3 << 62) | 0x2 << 62
    return f"2.25.{number}"


def is_uid(value: str) -> bool:
    """Whether a text can be a UID."""
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def _digest(purpose: str, seed: str) -> bytes:
    return hashlib.sha256(f"metseg {purpose}\0{seed}".encode()).digest()
