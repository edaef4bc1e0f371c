"""The cases of a labelled set: the layouts of `core.io.find_scans`, and nnU-Net's.

nnU-Net's layout is `imagesTr/CASE_0000.EXT` (and `_0001`, … for further channels) with `labelsTr/CASE.EXT`; its
`dataset.json` names the channels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ChannelNeeded, NothingFound, UsageError
from core.evaluation.patients import Case, PatientRule, name_patients, require_patients
from core.io import find_scans, natural_key
from core.io.folders import is_picture, scan_folder
from core.io.names import NNUNET_CHANNEL, some_of, stem_of
from core.scan import ScanSource
from core.sequence import same_sequence, sequence_of_names, sequence_of_text

SHOWN = 5
"""Of many names, so many are said."""
IMAGES, LABELS, ABOUT = "imagesTr", "labelsTr", "dataset.json"


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A folder of scans with their truth.

    Attributes:
        root: the folder.
        cases: those with truth, in natural order.
        unlabelled: names of the cases that lack the channel, or the mask of one or more images; they are left out.
        channel_chosen: each case's files are of one channel already, as nnU-Net and BraTS keep them.
        channel: what that channel is called, in lower case; "" where nothing says.
    """

    root: Path
    cases: tuple[Case, ...]
    unlabelled: tuple[str, ...] = ()
    channel_chosen: bool = False
    channel: str = ""

    @property
    def left_out(self) -> str:
        """Which cases are left out, in a sentence; "" where none is."""
        return left_out(self.unlabelled)

    @property
    def name(self) -> str:
        """The folder's."""
        return self.root.resolve().name

    @property
    def patients(self) -> tuple[str, ...]:
        """All patients, sorted."""
        return tuple(sorted({case.patient for case in self.cases}))


def left_out(cases: Sequence[str]) -> str:
    """Which cases of a set were left out, and why, in a sentence; "" where none was."""
    if not cases:
        return ""
    told = "1 case that lacks" if len(cases) == 1 else f"{len(cases)} cases that lack"
    return f"Left out: {told} the channel, or the mask of one or more images ({some_of(cases, SHOWN)})."


def keep_apart(data: Path, out: Path) -> None:
    """Results never lie inside a set, nor a set inside results: no prediction shall be read as truth.

    Raises:
        UsageError: one of the two folders holds the other.
    """
    target, given = out.resolve(), data.resolve()
    if target == given or given in target.parents or target in given.parents:
        raise UsageError("the results would lie inside the set, or the reverse; choose an --out elsewhere")


def find_cases(data: str | Path, rule: PatientRule | None = None, channel: int | str | None = None) -> LabelledSet:
    """Find the labelled cases in a folder and say whose they are.

    Args:
        data: a folder in the LGG layout, with images/ and masks/, or with imagesTr/ and labelsTr/.
        rule: how names tell patients.
        channel: which channel of nnU-Net's files, by index or name; else the only one, or the one called FLAIR. Which
            sequence where several share a mask, by name; else FLAIR.

    Raises:
        NothingFound: no case has its truth.
        ChannelNeeded: there are several channels or sequences, and nothing says which to take.
        InputError: the rule does not tell a patient, or the set seems to have a patient for each picture.
    """
    rule = PatientRule() if rule is None else rule
    root = Path(data)
    is_nnunet = (root / IMAGES).is_dir() and (root / LABELS).is_dir()
    sources, lacking, called = _nnunet(root, channel) if is_nnunet else _of_one_sequence(find_scans(root), channel)
    labelled = [source for source in sources if source.has_truth]
    if not labelled:
        some = any(mask is not None for source in sources for mask in source.mask_paths)
        why = "no case here has a mask for each of its images, and one without lesion needs an empty mask"
        raise NothingFound(why if some else "this folder holds no image with its mask", source=str(root))
    cases = name_patients(labelled, root, rule)
    require_patients(cases, rule)
    lacking += tuple(source.name for source in sources if not source.has_truth)
    return LabelledSet(root, cases, lacking, is_nnunet or bool(called), called)


Chosen = tuple[tuple[ScanSource, ...], tuple[str, ...], str]
"""The cases of one channel, the names of those that lack it, and what it is called."""


def _of_one_sequence(sources: Sequence[ScanSource], channel: int | str | None) -> Chosen:
    """Where sequences share a mask, as BraTS has them, one of them: FLAIR, or what `channel` names."""
    sharing: dict[tuple[Path | None, ...], list[ScanSource]] = {}
    for source in sources:
        if source.has_truth:
            sharing.setdefault(source.mask_paths, []).append(source)
    if all(len(group) == 1 for group in sharing.values()):
        return tuple(sources), (), ""
    wanted = "FLAIR" if channel is None else sequence_of_text(str(channel)) or str(channel)
    told = {source: sequence_of_names([path.name for path in source.paths]) for source in sources if source.has_truth}
    kept, lacking = [source for source in sources if not source.has_truth], []
    for group in sharing.values():
        fitting = [source for source in group if same_sequence(told[source], wanted)]
        if len(group) > 1 and None in {told[source] for source in group}:
            raise ChannelNeeded(
                "several images share a mask, and their names do not tell which sequence each is; name them as BIDS or "
                "BraTS does, or keep one sequence in a folder",
                source=group[0].name,
            )
        kept += fitting
        lacking += [] if fitting else [group[0].name]
    if not any(source.has_truth for source in kept):
        there = ", ".join(sorted({str(sequence) for sequence in told.values()}))
        raise ChannelNeeded(f"the images that share masks are of several sequences; say with --channel which: {there}")
    return tuple(sorted(kept, key=lambda source: natural_key(source.name))), tuple(lacking), wanted.lower()


def _nnunet(root: Path, channel: int | str | None) -> Chosen:
    images: dict[str, dict[int, Path]] = {}
    for entry in scan_folder(root / IMAGES):
        found = NNUNET_CHANNEL.fullmatch(stem_of(entry.name)) if is_picture(entry.name) else None
        if found:
            images.setdefault(found["case"], {})[int(found["channel"])] = Path(entry.path)
    labels = {stem_of(entry.name): Path(entry.path) for entry in scan_folder(root / LABELS) if is_picture(entry.name)}
    present = sorted({number for files in images.values() for number in files})
    if not present:
        raise NothingFound(f"the names in {IMAGES} do not end in a channel's number, as CASE_0000", source=str(root))
    names = _channel_names(root / ABOUT)
    chosen = _choose(present, names, channel)
    cases = sorted(images, key=natural_key)
    sources = [
        ScanSource(case, (images[case][chosen],), (labels.get(case),)) for case in cases if chosen in images[case]
    ]
    called = names.get(chosen, "").lower()
    lacking = tuple(case for case in cases if chosen not in images[case])
    return tuple(sources), lacking, "flair" if "flair" in called else called


def _choose(present: list[int], names: dict[int, str], channel: int | str | None) -> int:
    """The number of the channel to take."""
    wanted = "flair" if channel is None else str(channel).strip().lower()
    if wanted.isdigit() and int(wanted) in present:
        return int(wanted)
    if channel is None and len(present) == 1:
        return present[0]
    called = [number for number in present if names.get(number, "").lower() == wanted]
    called = called or [number for number in present if channel is None and wanted in names.get(number, "").lower()]
    if len(called) == 1:
        return called[0]
    shown = ", ".join(f"{number} ({names[number]})" if number in names else str(number) for number in present)
    raise ChannelNeeded(f"this set has several channels; say with --channel which one to take: {shown}")


def _channel_names(path: Path) -> dict[int, str]:
    """What dataset.json calls the channels; nothing where it does not say."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        named = values.get("channel_names") or values.get("modality") or {}
        return {int(number): str(name) for number, name in named.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
