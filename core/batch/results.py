"""The files of a results folder: their names, and how one knows them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
SUMMARY = "summary.json"
LESIONS = "lesions.csv"
RUN_FILES = (MANIFEST, SUMMARY, LESIONS)
CASE_KIND = "metseg-case"
RUN_KIND = "metseg-run"
RESULT_KEYS = {"slices", "voxels", "area_mm2", "volume_ml", "dice", "warnings"}
MANIFEST_LIMIT = 256 << 20
READ_BLOCK = 1 << 20


def read_manifest(folder: Path, kind: str) -> dict[str, Any] | None:
    """A results folder's manifest, or None where there is none of this kind, whole, that can be read."""
    values = _read(folder, kind)
    return values if values is None or kind != CASE_KIND or _is_whole(values) else None


def made_by_metseg(folder: Path, kind: str) -> bool:
    """Whether metseg wrote this folder, even if its manifest was damaged since."""
    return _read(folder, kind) is not None


def _read(folder: Path, kind: str) -> dict[str, Any] | None:
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            return None
        # Earlier versions wrote names that are no UTF-8 as their bytes.
        values = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and values.get("kind") == kind else None


def _is_whole(case: dict[str, Any]) -> bool:
    """Whether a case's manifest has what the tables and a later run read of it."""
    try:
        sum(case["seconds"].values())
        lesions, files = case["result"]["lesions"], case["files"]
        return (
            isinstance(case["input"], dict)
            and {"name", "model", "settings"} <= case.keys()
            and {"name"} <= case["model"].keys()
            and {"threshold"} <= case["settings"].keys()
            and case["result"].keys() >= RESULT_KEYS
            and all({"label", "slices", "centroid"} <= lesion.keys() for lesion in lesions)
            and all(len(lesion["slices"]) == 2 and len(lesion["centroid"]) == 3 for lesion in lesions)
            and all(isinstance(file["name"], str) for file in files)
            and all(isinstance(warning["code"], str) for warning in case["result"]["warnings"])
        )
    except (AttributeError, KeyError, TypeError):
        return False


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of files, in order: what `Scan.sha256` holds for a scan's files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(READ_BLOCK):
                digest.update(block)
    return digest.hexdigest()
