"""Finds the cases in a folder by names, so that ten thousand of them take about a second.

What is understood, at any depth:

    CASE/CASE_1.tif, CASE/CASE_1_mask.tif, …    one case, its slices in the order of their numbers (the LGG set)
    CASE_1.png, CASE_2.png, …                    the same, loose in any folder
    1.png, 2.png, …                              one case, named as its folder
    images/NAME.png and masks/NAME.png           pairs by equal names; numbered names form cases as above
    imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz   nnU-Net's layout: each channel a case of its own
    NAME.tif                                     a case of its own; and so is each file of several pages
    NAME.nii.gz, NAME.nii                        a case of its own; its truth is NAME_mask.nii.gz, or mask.nii.gz or
                                                 seg.nii.gz in the same folder, or, named as BIDS has it,
                                                 sub-…_label-L_desc-…_mask.nii.gz
    *.dcm, or files without a suffix             one case, named as its folder: the DICOM files in it
    NAME.zip                                     a case of its own
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from core.errors import NothingFound
from core.io.folders import NNUNET, TRUTH_OF, Folder, is_picture, masks_beside, scan_folder, walk_folders
from core.io.formats import ARCHIVE_SUFFIXES
from core.io.names import NNUNET_CHANNEL, SEG_ENDS, bids_entities, natural_key, stem_of
from core.io.nifti import SUFFIXES as NIFTI_SUFFIXES
from core.io.tiff import SUFFIXES as TIFF_SUFFIXES
from core.io.tiff_header import has_several_pages
from core.scan import SLICE_GAP, Note, ScanSource

MISSING_MASKS = "missing-masks"
STRAY_MASKS = "masks-without-image"
NUMBER_GAP = Note(SLICE_GAP, "the slices' numbers have gaps, so nothing is measured from slice to slice")

MASK_END = "_mask"
WHOLE_NAMES = ("mask", "seg")
"""Of files that are the mask of what lies beside them."""
OUTPUT_ENDS = ("_probability", "_overlay", "_probseg")
VOLUMES = (*NIFTI_SUFFIXES, *ARCHIVE_SUFFIXES)
# More than five digits are a date or a patient, not the number of a slice.
NUMBERED = re.compile(r"(?:(?P<prefix>.+)_)?(?P<number>\d{1,5})", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class _Picture:
    number: int
    stem: str
    file: str


@dataclass(slots=True)
class _Case:
    """A case on its way to a ScanSource; its name may still change, to become unique."""

    name: str
    folder: str
    pictures: list[_Picture]
    masks: list[str | None]
    stray_masks: int = 0


def find_scans(folder: str | Path) -> tuple[ScanSource, ...]:
    """Find the cases in a folder, or the one that a single file is. No picture is decoded.

    Hidden files, what is no picture, and metseg's own results are passed over. A mask is never taken for an image. A
    folder below that cannot be opened becomes a case that cannot be read, so that it is not passed over in silence.

    Returns:
        Cases in natural order (2 before 10), their names unique whatever the case of the letters.

    Raises:
        NothingFound: there is no such folder, or nothing in it to read.
        InputError: the folder cannot be opened.
    """
    root = Path(folder)
    if root.is_file():
        return (ScanSource(stem_of(root.name), (root,), (_mask_of(root),)),)
    cases, _, results = _survey(root)
    if not cases:
        what = "results of metseg and no scan" if results else "no picture that can be read"
        raise NothingFound(f"the folder holds {what}; give one with scans", source=str(root))
    _make_unique(cases, root)
    cases.sort(key=lambda case: natural_key(case.name))
    any_mask = any(mask for case in cases for mask in case.masks)
    return tuple(_source(case, any_mask) for case in cases)


def masks_without_image(folder: str | Path) -> tuple[Path, ...]:
    """The masks in a folder that belong to no image; `find_scans` passes over them."""
    root = Path(folder)
    if root.is_file():
        return ()
    _, strays, _ = _survey(root)
    return tuple(Path(path) for path in sorted(strays, key=natural_key))


def _survey(root: Path) -> tuple[list[_Case], list[str], bool]:
    """All cases, all masks without an image, and whether metseg's own results were met."""
    cases: list[_Case] = []
    paired: set[str] = set()
    every_mask: list[str] = []
    folders = list(walk_folders(root))
    truth = {folder.path: folder.pictures for folder in folders if folder.is_truth}
    for folder in folders:
        if folder.is_closed:
            parent, name = os.path.split(folder.path)
            cases.append(_Case(name, parent, [_Picture(0, name, name)], [None]))
        elif not folder.is_truth:
            masks = _masks_by_image(folder, truth.get(folder.truth or "", ()))
            found = _cases_in(folder, masks)
            stems = {picture.stem for case in found for picture in case.pictures}
            for stem, paths in masks.items():
                every_mask += paths
                if stem in stems:
                    paired.update(paths)
                elif match := NUMBERED.fullmatch(stem):
                    for case in found:
                        case.stray_masks += len(paths) * (case.name == match["prefix"])
            cases += found
    every_mask += [os.path.join(path, name) for path, names in truth.items() for name in names]  # noqa: PTH118
    return (
        cases,
        list(dict.fromkeys(path for path in every_mask if path not in paired)),
        any(folder.is_result for folder in folders),
    )


def _masks_by_image(folder: Folder, truth: tuple[str, ...]) -> dict[str, list[str]]:
    """Paths of the masks for a folder's pictures, by the picture's stem."""
    masks: dict[str, list[str]] = {}
    stems = {name: stem_of(name) for name in folder.pictures}
    images = [stem for name, stem in stems.items() if not is_no_image(stem, name)]
    subjects: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for image in images:
        if entities := bids_entities(image):
            subjects.setdefault(entities[0], []).append((image, frozenset(entities)))
    for name, stem in stems.items():
        if _is_mask(stem, name):
            for image in _images_of(stem, images, subjects, is_volume=name.lower().endswith(VOLUMES)):
                masks.setdefault(image, []).append(os.path.join(folder.path, name))  # noqa: PTH118
    channels: dict[str, list[str]] = {}
    for image in images if _name(folder).lower() in NNUNET else ():
        if found := NNUNET_CHANNEL.fullmatch(image):
            channels.setdefault(found["case"], []).append(image)
    for name in truth:
        stem = stem_of(name)
        stem = stem[: -len(MASK_END)] if stem.lower().endswith(MASK_END) else stem
        for image in channels.get(stem, [stem]):
            masks.setdefault(image, []).append(os.path.join(folder.truth or "", name))  # noqa: PTH118
    return masks


def _images_of(
    mask: str, images: list[str], subjects: dict[str, list[tuple[str, frozenset[str]]]], *, is_volume: bool
) -> list[str]:
    """The stems of the images that a mask's stem speaks of, or what would be one if it were there.

    A mask as BIDS or BraTS names it belongs to every sequence of its subject, session and so on.
    """
    if mask.lower() in WHOLE_NAMES:
        # One picture is no mask of many slices.
        return images if is_volume or len(images) == 1 else [""]
    if mask.lower().endswith(SEG_ENDS):
        prefix = mask[: -len(SEG_ENDS[0]) + 1]
        return [image for image in images if image.startswith(prefix)] or [prefix[:-1]]
    entities = bids_entities(mask)
    if entities and any(entity.startswith("label-") for entity in entities):
        own = {entity for entity in entities if not entity.startswith(("label-", "desc-"))}
        if found := [image for image, known in subjects.get(entities[0], ()) if own <= known]:
            return found
    return [mask[: -len(MASK_END)]]


def _is_mask(stem: str, file: str) -> bool:
    """Whether a file's name says that it is truth; `-seg` counts for volumes alone."""
    ends = (MASK_END, *SEG_ENDS) if file.lower().endswith(VOLUMES) else MASK_END
    return f"_{stem.lower()}".endswith(ends)  # a file may be called "mask" and no more


def is_no_image(stem: str, file: str) -> bool:
    """Whether a file's name says that it is truth, or what metseg made."""
    return _is_mask(stem, file) or stem.lower().endswith(OUTPUT_ENDS)


def _cases_in(folder: Folder, masks: dict[str, list[str]]) -> list[_Case]:
    """Group one folder's pictures into cases, and give them their masks."""
    return [
        _Case(name, folder.path, pictures, [_pick(masks.get(each.stem, []), each.file) for each in pictures])
        for name, pictures in _groups(folder)
    ]


def _groups(folder: Folder) -> Iterator[tuple[str, list[_Picture]]]:
    """The pictures of a folder as cases: their name, their slices in order."""
    own_name = _name(folder)
    if folder.instances:
        names = sorted(folder.instances, key=natural_key)
        yield own_name, [_Picture(number, stem_of(name), name) for number, name in enumerate(names)]
    holds_patients, holds_channels = own_name.lower() in TRUTH_OF, own_name.lower() in NNUNET
    groups: dict[tuple[str | None, bool], list[_Picture]] = {}
    for file in folder.pictures:
        stem = stem_of(file)
        if is_no_image(stem, file):
            continue
        if file.lower().endswith(VOLUMES):
            yield stem, [_Picture(0, stem, file)]
            continue
        match = NUMBERED.fullmatch(stem)
        # Bare numbers below images/ are patients as a rule; elsewhere they are slices.
        if match is None or holds_channels or (match["prefix"] is None and holds_patients):
            yield stem, [_Picture(0, stem, file)]
        else:
            is_tiff = file.lower().endswith(TIFF_SUFFIXES)
            groups.setdefault((match["prefix"], is_tiff), []).append(_Picture(int(match["number"]), stem, file))
    for (prefix, is_tiff), pictures in groups.items():
        if prefix == own_name:
            yield prefix, sorted(pictures)
        # Loose files may be volumes of several patients; one look into the first decides.
        elif len(pictures) == 1 or (is_tiff and has_several_pages(os.path.join(folder.path, pictures[0].file))):  # noqa: PTH118
            yield from ((picture.stem, [picture]) for picture in pictures)
        else:
            yield prefix or own_name, sorted(pictures)


def _name(folder: Folder) -> str:
    return os.path.basename(os.path.abspath(folder.path)) or "scan"  # noqa: PTH100, PTH119


def _mask_of(image: Path) -> Path | None:
    """The mask of one file: NAME_mask beside it, or of equal name in the masks/ beside its images/."""
    truth = masks_beside(image.parent)
    beside, below = (_pictures(folder) if folder else () for folder in (image.parent, truth))
    masks = _masks_by_image(Folder(str(image.parent), beside, truth=truth), below)
    mask = _pick(masks.get(stem_of(image.name), []), image.name)
    return Path(mask) if mask else None


def _pictures(folder: str | Path) -> tuple[str, ...]:
    return tuple(entry.name for entry in scan_folder(folder) if is_picture(entry.name))


def _pick(masks: list[str], image: str) -> str | None:
    """Of several masks of one name, the one of the image's own suffix, else the first."""
    suffix = image[len(stem_of(image)) :].lower()
    return min(masks, key=lambda path: (not path.lower().endswith(suffix), path), default=None)


def _make_unique(cases: list[_Case], root: Path) -> None:
    """Names that occur twice get their folders in front, then a number; upper and lower case count as equal."""
    count = Counter(case.name.casefold() for case in cases)
    taken = {name for name, times in count.items() if times == 1}
    for case in cases:
        if count[case.name.casefold()] == 1:
            continue
        parts = [part for part in Path(case.folder).relative_to(root).parts if part != case.name]
        wanted = name = "_".join([*parts, case.name])
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name.casefold())
        case.name = name


def _source(case: _Case, any_mask: bool) -> ScanSource:
    """A case as others see it; a missing mask is worth a note only where there are masks at all."""
    notes = []
    missing = sum(mask is None for mask in case.masks)
    if missing and any_mask:
        whole = "there is no ground truth beside these images, as there is beside others"
        some = f"{missing} of {len(case.pictures)} images have no ground-truth mask"
        notes.append(Note(MISSING_MASKS, whole if missing == len(case.pictures) else some))
    if case.stray_masks:
        notes.append(Note(STRAY_MASKS, f"masks that belong to no image, and are not used: {case.stray_masks}"))
    if any(after.number != before.number + 1 for before, after in pairwise(case.pictures)):
        notes.append(NUMBER_GAP)
    folder = Path(case.folder)
    return ScanSource(
        case.name,
        tuple(folder / picture.file for picture in case.pictures),
        tuple(Path(mask) if mask else None for mask in case.masks),
        tuple(notes),
    )
