"""The training set: image and mask pairs, preprocessed once and kept as arrays that are mapped from disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core.atomic import make_folder, write_json
from core.errors import InputError
from core.evaluation.cases import LabelledSet, find_cases
from core.evaluation.copies import print_slices, refuse_shared
from core.evaluation.patients import PatientRule
from core.io import read_mask, read_scan
from core.model_card import PreprocessSettings
from core.preprocess.channels import channel_name
from core.preprocess.clahe import equalise
from core.preprocess.grid import Grid
from core.preprocess.prepare import prepare
from core.scan import Scan
from training.disk import writable

CACHE_VERSION = 2
AFTERWARDS = ("shrink", "standardise")
"""Settings of steps that come after what is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Every slice of a set on the network's grid, after CLAHE.

    Attributes:
        images: (slices, channels, size, size) uint8, mapped from disk.
        truths: (slices, size, size) uint8, 0 or 1, mapped from disk.
        levels: (slices, channels, 2) float32, median and spread of the head in the slice's volume, in grey levels.
        patients: for each slice its patient.
        channels: what the channels are called, for the model's card.
        key: hash of what went in: settings, and the files' names, sizes and times; quick to know.
    """

    images: NDArray[np.uint8]
    truths: NDArray[np.uint8]
    levels: NDArray[np.float32]
    patients: NDArray[np.str_]
    channels: tuple[str, ...]
    key: str

    def of(self, patients: Sequence[str]) -> NDArray[np.int64]:
        """Indices of these patients' slices."""
        return np.flatnonzero(np.isin(self.patients, list(patients)))

    @property
    def fingerprint(self) -> str:
        """Hash of what is learnt from: slices, truths and whose they are, wherever the files lie; reads all arrays."""
        digest = hashlib.sha256(json.dumps([self.images.shape, self.patients.tolist()]).encode())
        for array in (self.images, self.truths):
            for part in array:  # one at a time: the set need not fit into memory
                digest.update(part)
        return digest.hexdigest()[:16]


def load_pairs(
    data: Path,
    settings: PreprocessSettings,
    cache: Path,
    *,
    rule: PatientRule | None = None,
    channel: int | str | None = None,
    may_share: bool = False,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Pairs:
    """Read a folder of pairs, or what an earlier call kept of it. Of two processes one reads, and the other waits.

    Args:
        data: a folder that `find_cases` understands.
        settings: the preprocessing that the model's card will name.
        cache: folder for the arrays; about 130 KB a slice.
        rule: how names tell patients.
        channel: which one to take, where the set does not tell.
        may_share: patients may share images.
        progress: called with (cases done, cases).
        tell: told in a sentence how many cases are left out, if any.

    Raises:
        NothingFound: no case in the folder has its masks.
        InputError: patients cannot be told, two of them share images, or a case cannot be read.
        OutputError: the cache cannot be written.
    """
    rule = PatientRule() if rule is None else rule
    labelled = find_cases(data, rule, channel)
    if tell and labelled.left_out:
        tell(labelled.left_out)
    key = _key(labelled, settings, rule, channel, may_share)
    folder = cache / key
    make_folder(cache, "--cache")
    with writable(cache), FileLock(cache / f"{key}.lock"):
        if not (folder / "index.json").is_file():
            _build(labelled, settings, channel, may_share, folder, progress)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return Pairs(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        truths=np.load(folder / "truths.npy", mmap_mode="r"),
        levels=np.load(folder / "levels.npy"),
        patients=np.asarray(index["patients"]),
        channels=tuple(index.get("channels", settings.channels)),
        key=key,
    )


def _key(
    labelled: LabelledSet, settings: PreprocessSettings, rule: PatientRule, channel: int | str | None, may_share: bool
) -> str:
    files = []
    for case in labelled.cases:
        for path in (*case.source.paths, *case.source.mask_paths):
            if path is not None:
                stat = path.stat()
                files.append((case.source.name, path.name, stat.st_size, stat.st_mtime_ns))
    told = {"patients": rule.to_json(), "channel": None if labelled.channel_chosen else channel, "may_share": may_share}
    said = {name: value for name, value in told.items() if value not in ({}, None, False)}
    prepared = {name: value for name, value in asdict(settings).items() if name not in AFTERWARDS}
    content = json.dumps([CACHE_VERSION, prepared, files, *([said] if said else [])]).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _build(
    labelled: LabelledSet,
    settings: PreprocessSettings,
    channel: int | str | None,
    may_share: bool,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    patients: list[str] = []
    levels, prints = [], []
    channels = (labelled.channel,) if labelled.channel else settings.channels
    if labelled.channel_chosen:
        channel = None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for done, case in enumerate(labelled.cases, start=1):
            scan = read_scan(case.source)
            if done == 1 and channel is not None:
                channels = (channel_name(scan, channel),)
            image, truth, scale = pair_on_grid(scan, read_mask(case.source), settings, channel)
            _append(folder / "images.npy", image, len(patients))
            _append(folder / "truths.npy", truth, len(patients))
            levels += [scale] * len(image)
            patients += [case.patient] * len(image)
            prints.append(print_slices(scan, case.patient))
            if progress:
                progress(done, len(labelled.cases))
        if not may_share:
            refuse_shared(prints)  # a patient under two names would be learnt from and scored
        np.save(folder / "levels.npy", np.stack(levels))
        # Last, so that its presence means that the arrays are whole.
        write_json(folder / "index.json", {"patients": patients, "channels": channels})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _append(path: Path, part: NDArray[np.uint8], before: int) -> None:
    """Add slices to an array on disk, so that a set need not fit into memory.

    Args:
        path: of the .npy file.
        part: (slices, …), the rest alike in every part.
        before: slices that the file holds already; with 0 it is begun anew.
    """
    with path.open("r+b" if before else "wb") as file:
        # NumPy leaves room in the header for any number of slices, so that it can be written over.
        about = {"descr": part.dtype.str, "fortran_order": False, "shape": (before + len(part), *part.shape[1:])}
        np.lib.format.write_array_header_1_0(file, about)
        file.seek(0, os.SEEK_END)
        file.write(part.tobytes())


def pair_on_grid(
    scan: Scan, truth: NDArray[np.bool_], settings: PreprocessSettings, channel: int | str | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """One case after CLAHE.

    Returns:
        images (slices, channels, size, size) uint8 after CLAHE; truths (slices, size, size) uint8; and (channels, 2)
        float32, the head's levels. What is smaller than `settings.size` is centred, its images padded with their edge
        and its truth with zero.

    Raises:
        InputError: the scan is larger than that.
    """
    prepared = prepare(scan, replace(settings, standardise=True), channel)  # whatever the model goes by
    slices, channels, height, width = prepared.images.shape
    if max(height, width) > settings.size:
        raise InputError(
            f"on the network's grid this scan has {height} × {width} pixels, and training takes {settings.size}; "
            "choose a larger size or the grid fit",
            source=scan.name,
        )
    flat = equalise(prepared.images.reshape(-1, height, width), settings.clip_limit, settings.tile_px)
    on_grid = truth_on_grid(prepared.plane.to_plane(truth), prepared.grid)
    top, left = (settings.size - height) // 2, (settings.size - width) // 2
    margins = ((top, settings.size - height - top), (left, settings.size - width - left))
    images = np.pad(flat.reshape(slices, channels, height, width), ((0, 0), (0, 0), *margins), mode="edge")
    scale = np.array([(found.centre, found.spread) for found in prepared.ranges], np.float32)
    return images, np.pad(on_grid, ((0, 0), *margins)), scale


def truth_on_grid(truth: NDArray[np.bool_], grid: Grid) -> NDArray[np.uint8]:
    """A mask (slices, height, width) on the network's grid: 1 where most of a pixel is lesion."""
    height, width = grid.target
    if truth.shape[1:] == (height, width):
        return truth.astype(np.uint8)
    share = [cv2.resize(part.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) for part in truth]
    return (np.stack(share) >= 0.5).astype(np.uint8)
