"""From uploaded files to cases: grouped, paired with their masks and read as `metseg segment` does it."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from core.errors import AmbiguousSeries, InputError, MetsegError, OutputError, PairMismatch, SeriesChoice, TooLarge
from core.io import (
    RawFile,
    ReadLimits,
    check_form,
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
from core.io.read import check_place
from core.model_card import PreprocessSettings
from core.phantom import make_phantom
from core.preprocess.channels import select_channels
from core.scan import Note, Scan, ScanSource
from core.views import first_view
from web_streamlit.settings import Settings

Mask = NDArray[np.bool_]
LONGEST_NAME = 80
NO_CHOICE: Mapping[str, str] = MappingProxyType({})
DEEPEST = 4
UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"|?*\\\u200e\u200f\u202a-\u202e\u2066-\u2069]")
BUNDLED = {"Head 1": 1, "Head 2": 2, "Head 3": 3}
"""The first seeds there are, so that nobody can have picked what a model does well on."""
BUNDLED_SLICES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A case that was read.

    Attributes:
        key: tells cases of one page apart; the same content under the same name has the same.
        scan: what was read; its paths are names only, nothing lies there any more.
        truth: (slices, height, width), or None.
        contents: the files themselves, in the order of the scan's; where a series was chosen, the others' come after.
        series: which of several series in them it is, or None.
    """

    key: str
    scan: Scan
    truth: Mask | None
    contents: tuple[bytes, ...]
    series: str | None = None


@dataclass(frozen=True, slots=True)
class SeveralSeries:
    """What holds several series, of which the user must choose one."""

    name: str
    choices: tuple[SeriesChoice, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A file or case that cannot be used, and why."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What uploaded files turned out to be.

    Attributes:
        marks: of each case, read or not, what stands for its name and the content of its files, by its name; what is
            kept by it never passes to other files that happen to be called the same.
    """

    cases: tuple[Case, ...] = ()
    refused: tuple[Refused, ...] = ()
    several: tuple[SeveralSeries, ...] = ()
    notes: tuple[str, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)


def read_uploads(files: Sequence[RawFile], settings: Settings, series: Mapping[str, str] = NO_CHOICE) -> Reading:
    """Read what was uploaded; what cannot be read costs only itself.

    Args:
        files: in any order.
        settings: the page's.
        series: of cases that hold several series the chosen one, by the case's mark, see `Reading`.

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
        return _read_all(sources, contents, len(strays), settings, series)


def _read_all(
    sources: Sequence[ScanSource],
    contents: dict[Path, bytes],
    strays: int,
    settings: Settings,
    series: Mapping[str, str],
) -> Reading:
    cases: list[Case] = []
    refused: list[Refused] = []
    several: list[SeveralSeries] = []
    notes = [f"Masks that belong to no image, and are not used: {strays}."] if strays else []
    marks = {source.name: _mark(source.name, [contents[path] for path in source.paths]) for source in sources}
    left = settings.total_voxels
    for source in sources:
        chosen = series.get(marks[source.name])
        try:
            scan = read_scan(source, settings.limits, chosen)
            check_form(scan, "auto")
            if scan.voxels.size > left:
                raise TooLarge("this is more than the page holds at a time; send fewer cases")
        except AmbiguousSeries as error:
            several.append(SeveralSeries(source.name, error.choices))
            continue
        except (InputError, OutputError) as error:
            refused.append(Refused(source.name, error.detail))
            continue
        left -= scan.voxels.size
        truth = None
        if source.has_truth:
            try:
                truth = read_mask(source, settings.limits, chosen)
            except InputError as error:
                notes.append(f"{source.name}: its mask is not used, for {error.detail}.")
        elif any(source.mask_paths):
            notes.append(f"{source.name}: only some of its slices have a mask, so there is no Dice.")
        # A series' number counts among all of the case, so the server must see them all.
        kept = scan.paths if chosen is None else dict.fromkeys((*scan.paths, *source.paths))
        own = tuple(contents[path] for path in kept)
        scan = replace(scan, paths=tuple(Path(path.name) for path in scan.paths))
        cases.append(Case(_key(scan, chosen), scan, truth, own, chosen))
    return Reading(tuple(cases), tuple(refused), tuple(several), tuple(notes), marks)


def bundled_case(seed: int, slices: int = BUNDLED_SLICES) -> Case:
    """A phantom as if its TIFF had been uploaded, with its exact mask."""
    phantom, truth = make_phantom(seed, slices)
    content = encode_tiff(phantom.voxels[:, 0])
    scan = read_scan_bytes(content, phantom.name)
    made_up = Note("phantom", "this is a synthetic picture, not a scan of a person")
    scan = replace(scan, paths=(Path(f"{phantom.name}.tif"),), slices_per_path=(slices,), notes=(*scan.notes, made_up))
    return Case(_key(scan), scan, truth, (content,))


def payload(case: Case, settings: PreprocessSettings, channel: str | None) -> tuple[bytes, dict[str, str]]:
    """The file to send for a case, and the fields that go with it.

    One file goes as it is, and several of DICOM, or that say how large a pixel is, in an archive. Of other pictures the
    model's channel is sent, as one stack. Whether slices are missing, which names alone told, goes with both.

    Raises:
        InputError: the case cannot be taken by this model.
    """
    voxels, _ = select_channels(case.scan, settings.channels, channel)
    given = {"channel": channel, "series": case.series}
    fields = {name: value for name, value in given.items() if value is not None}
    if len(case.contents) == 1:
        return case.contents[0], fields
    if case.scan.format == "DICOM":
        return _archive(case.contents), fields
    gap = {} if case.scan.contiguous else {"slice_gap": "true"}
    if any(case.scan.spacing_mm):
        return _archive(case.contents), fields | gap
    if voxels.shape[1] != 1:
        raise InputError("this model takes several channels; upload the case as one file")
    return encode_tiff(voxels[:, 0]), gap


def one_slice(case: Case, settings: PreprocessSettings, channel: str | None) -> bytes:
    """The middle slice alone, as the model sees it, to measure how fast the server is."""
    voxels, _ = select_channels(case.scan, settings.channels, channel)
    view = first_view(case.scan)
    return encode_tiff(view.cut(voxels[:, 0], view.shape[0] // 2)[None])


def read_truth(files: Sequence[RawFile], scan: Scan, limits: ReadLimits) -> Mask:
    """Ground truth for a case, of one file or of one for each slice: above 0, in a JPEG above 127.

    Raises:
        InputError: it cannot be read.
        PairMismatch: it does not lie on the case's grid.
    """
    parts, shape = [], scan.shape
    for file in sorted(files, key=lambda each: natural_key(each.name)):
        truth = read_scan_bytes(file.content, file.name, limits)
        check_place(scan.affine, truth.affine, truth.shape)
        voxels = truth.voxels
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


def _archive(contents: Sequence[bytes]) -> bytes:
    """Files without their names, but in their order also where they are sorted by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number:06}.dcm", content)
    return buffer.getvalue()


def _mark(name: str, contents: Sequence[bytes]) -> str:
    digest = hashlib.sha256(name.encode(errors="replace"))
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _key(scan: Scan, series: str | None = None) -> str:
    return hashlib.sha256(f"{scan.name}\0{scan.sha256}\0{series}".encode(errors="replace")).hexdigest()[:16]
