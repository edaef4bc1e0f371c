"""Whether a case's results are there already, and are what this run would write."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from core.batch.jobs import Job
from core.batch.request import Request
from core.batch.results import CASE_KIND, MANIFEST, hash_files, read_manifest
from core.errors import OutputError
from core.scan import ScanSource

# Left behind by file managers; they do not make a folder someone's work.
DROPPINGS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def look_of(source: ScanSource) -> str:
    """A digest of where a case's files lie, how large they are and when they were changed; cheap, and never read.

    Raises:
        OSError: a file is gone.
    """
    digest = hashlib.sha256()
    for path in (*source.paths, *source.mask_paths):
        if path is None:
            digest.update(b"-\n")
        else:
            state = path.stat()
            digest.update(f"{path.resolve()}\t{state.st_size}\t{state.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def hash_truth(source: ScanSource) -> str | None:
    """SHA-256 over a case's ground truth, or None where it is not complete."""
    return hash_files(path for path in source.mask_paths if path is not None) if source.has_truth else None


def finished_earlier(job: Job, request: Request, out: Path) -> dict[str, Any] | None:
    """The manifest of an earlier result that is whole and the same; None where nothing lies there.

    Raises:
        OutputError: the case's folder holds something else.
        OSError: an input file cannot be looked at.
    """
    folder = out / job.name
    if not folder.exists():
        return None
    manifest = read_manifest(folder, CASE_KIND)
    if manifest is None:
        raise OutputError("its results folder was not written by metseg; choose another --out", source=job.name)
    for what, before, now in (
        ("another model", manifest.get("model"), request.model()),
        ("other settings", manifest.get("settings"), request.settings()),
    ):
        if before != now:
            raise _differs(job, what + _named_difference(before, now))
    if not _same_input(manifest, job.source):
        raise _differs(job, "other input files")
    if not _files_unchanged(folder, manifest):
        raise OutputError("its results were changed since; use --overwrite, or another --out", source=job.name)
    return manifest


def check_replaceable(job: Job, out: Path) -> None:
    """Let only metseg's own results be overwritten.

    Raises:
        OutputError: the case's folder holds files that metseg did not write.
    """
    folder = out / job.name
    if not folder.exists():
        return
    manifest = read_manifest(folder, CASE_KIND)
    if manifest is None:
        raise OutputError("its results folder was not written by metseg; choose another --out", source=job.name)
    own = {MANIFEST, *DROPPINGS, *(entry["name"] for entry in manifest.get("files", ()))}
    strange = sorted(path.name for path in folder.iterdir() if path.name not in own)
    if strange:
        raise OutputError(
            f"its results folder also holds {len(strange)} files that metseg did not write; move them away first",
            source=job.name,
        )


def _differs(job: Job, what: str) -> OutputError:
    return OutputError(
        f"results made with {what} are there already; use --overwrite, or another --out", source=job.name
    )


def _named_difference(before: object, now: dict[str, Any]) -> str:
    """The settings that differ, as " (threshold, tta)"."""
    if not isinstance(before, dict):
        return ""
    return f" ({', '.join(key for key in now if before.get(key) != now[key]) or 'an older list of settings'})"


def _same_input(manifest: dict[str, Any], source: ScanSource) -> bool:
    recorded = manifest.get("input", {})
    if recorded.get("look") == look_of(source):
        return True
    # Copied or touched files look different and may still be the same.
    content = {"sha256": hash_files(source.paths), "truth_sha256": hash_truth(source)}
    return all(recorded.get(key) == value for key, value in content.items())


def _files_unchanged(folder: Path, manifest: dict[str, Any]) -> bool:
    try:
        return all(hash_files([folder / entry["name"]]) == entry["sha256"] for entry in manifest["files"])
    except (OSError, KeyError, TypeError):
        return False
