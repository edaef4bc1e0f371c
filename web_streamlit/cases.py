"""From uploaded files to cases: grouped, paired with their masks and read as `metseg segment` does it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, MetsegError, PairMismatch, TooLarge
from core.io import (
    ReadLimits,
    encode_tiff,
    find_scans,
    masks_without_image,
    natural_key,
    read_mask,
    read_scan,
    read_scan_bytes,
)
from core.io.jpeg_header import is_jpeg
from core.io.private import private_folder
from core.model_card import PreprocessSettings
from core.phantom import make_phantom
from core.preprocess.channels import select_channels
from core.scan import Note, Scan, ScanSource
from web_streamlit.settings import Settings

Mask = NDArray[np.bool_]
LONGEST_NAME = 80
DEEPEST = 4
UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"|?*\\\u200e\u200f\u202a-\u202e\u2066-\u2069]")
BUNDLED = {"Head 1": 1, "Head 2": 2, "Head 3": 3}
"""The first seeds there are, so that nobody can have picked what a model does well on."""
BUNDLED_SLICES = 8


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as the browser sent it; the name may hold folders."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A case that was read.

    Attributes:
        key: tells cases of one page apart; the same content under the same name has the same.
        scan: what was read; its paths are names only, nothing lies there any more.
        truth: (slices, height, width), or None.
        content: the file itself where the case is one file, else None.
    """

    key: str
    scan: Scan
    truth: Mask | None
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file or case that cannot be used, and why."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What uploaded files turned out to be."""

    cases: tuple[Case, ...] = ()
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()


def read_uploads(files: Sequence[RawFile], settings: Settings) -> Reading:
    """Read what was uploaded; what cannot be read costs only itself.

    The files are in a private temporary folder while this runs, and gone from there when it returns.
    """
    with private_folder("metseg-web-") as folder:
        root = folder / "upload"
        contents: dict[Path, bytes] = {}
        taken: set[Path] = set()
        folders: set[Path] = set()
        try:
            for file in files:
                path = _place(root, file.name, taken, folders)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)
                contents[path] = file.content
            sources = find_scans(next(iter(contents)) if len(contents) == 1 else root)
            strays = masks_without_image(root)
        except MetsegError as error:
            return Reading(refused=(Refused("upload", error.detail),))
        except OSError:
            return Reading(refused=(Refused("upload", "the files cannot be taken in; free some disk space"),))
        return _read_all(sources, contents, len(strays), settings)


def _read_all(sources: Sequence[ScanSource], contents: dict[Path, bytes], strays: int, settings: Settings) -> Reading:
    cases: list[Case] = []
    refused: list[Refused] = []
    notes = [f"Masks that belong to no image, and are not used: {strays}."] if strays else []
    left = settings.total_voxels
    for source in sources:
        try:
            scan = read_scan(source, settings.limits)
            if scan.voxels.size > left:
                raise TooLarge("this is more than the page holds at a time; send fewer cases")
        except InputError as error:
            refused.append(Refused(source.name, error.detail))
            continue
        left -= scan.voxels.size
        truth = None
        if source.has_truth:
            try:
                truth = read_mask(source, settings.limits)
            except InputError as error:
                notes.append(f"{source.name}: its mask is not used, for {error.detail}.")
        elif any(source.mask_paths):
            notes.append(f"{source.name}: only some of its slices have a mask, so there is no Dice.")
        scan = replace(scan, paths=tuple(Path(path.name) for path in scan.paths))
        lone = contents[source.paths[0]] if len(source.paths) == 1 else None
        cases.append(Case(_key(scan), scan, truth, lone))
    return Reading(tuple(cases), tuple(refused), tuple(notes))


def bundled_case(seed: int, slices: int = BUNDLED_SLICES) -> Case:
    """A phantom as if its TIFF had been uploaded, with its exact mask."""
    phantom, truth = make_phantom(seed, slices)
    content = encode_tiff(phantom.voxels[:, 0])
    scan = read_scan_bytes(content, phantom.name)
    made_up = Note("phantom", "this is a synthetic picture, not a scan of a person")
    scan = replace(scan, paths=(Path(f"{phantom.name}.tif"),), slices_per_path=(slices,), notes=(*scan.notes, made_up))
    return Case(_key(scan), scan, truth, content)


def payload(case: Case, settings: PreprocessSettings, channel: str | None) -> tuple[bytes, dict[str, str]]:
    """The file to send for a case, and the field that goes with it.

    One file goes as it is. Of several files the model's channel is sent, as one stack.

    Raises:
        InputError: the case cannot be taken by this model.
    """
    voxels, _ = select_channels(case.scan, settings.channels, channel)
    if case.content is not None:
        return case.content, {} if channel is None else {"channel": channel}
    if voxels.shape[1] != 1:
        raise InputError("this model takes several channels; upload the case as one file")
    return encode_tiff(voxels[:, 0]), {}


def one_slice(case: Case, settings: PreprocessSettings, channel: str | None) -> bytes:
    """The middle slice alone, to measure how fast the server is."""
    voxels, _ = select_channels(case.scan, settings.channels, channel)
    middle = len(voxels) // 2
    return encode_tiff(voxels[middle : middle + 1, 0])


def read_truth(files: Sequence[RawFile], shape: tuple[int, int, int], limits: ReadLimits) -> Mask:
    """Ground truth for a case, of one stack or of one file for each slice: above 0, in a JPEG above 127.

    Raises:
        InputError: it cannot be read.
        PairMismatch: it does not lie on the case's grid.
    """
    parts = []
    for file in sorted(files, key=lambda each: natural_key(each.name)):
        voxels = read_scan_bytes(file.content, file.name, limits).voxels
        parts.append((voxels > (127 if is_jpeg(file.content) else 0)).any(axis=1))
    if len({part.shape[1:] for part in parts}) == 1:
        mask = np.concatenate(parts)
        if mask.shape == shape:
            return mask
    told = " + ".join(" × ".join(map(str, part.shape)) for part in parts)
    raise PairMismatch(
        f"the mask is {told} and the scan {' × '.join(map(str, shape))} (slices × height × width); they must be equal"
    )


def _place(root: Path, name: str, taken: set[Path], folders: set[Path]) -> Path:
    """Where a file may lie for a moment: below root whatever it is called, and in no other file's way."""
    parts = [UNSAFE.sub("_", part)[-LONGEST_NAME:] for part in PurePosixPath(name.replace("\\", "/")).parts]
    parts = [part for part in parts if part.strip(". /")][-DEEPEST:] or ["scan"]
    path = root.joinpath(*parts)
    number = 1
    while path in taken or path in folders or not taken.isdisjoint(path.parents):
        number += 1
        path = root / f"more-{number}" / parts[-1]
    taken.add(path)
    folders.update(path.parents)
    return path


def _key(scan: Scan) -> str:
    return hashlib.sha256(f"{scan.name}\0{scan.sha256}".encode(errors="replace")).hexdigest()[:16]
