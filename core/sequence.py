"""What sequence a scan seems to be, from its tags or its name: one of a closed set, never the text itself.

Tags and names may carry a patient's name. So nothing of them is handed on: the answer is one of `SEQUENCES`, or None
where they do not tell, or tell two things at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SEQUENCES = (
    "FLAIR", "T1w", "T1w+contrast", "T2w", "T2*w", "PDw", "STIR", "DWI", "ADC", "SWI",
    "BOLD", "perfusion", "angiography", "CT", "PET", "other",
)  # fmt: skip
"""All answers. "other" is a picture of another modality than MR, CT or PET."""

_EDGE, _END = r"(?<![a-z0-9])", r"(?![a-z0-9*])"
# Words that tell a sequence wherever they stand, in names of files too.
_CLEAR = {
    "FLAIR": r"flair|dark.?fluid|(?<![a-z0-9])t2f(?![a-z0-9])",
    "T1w": rf"{_EDGE}(3d)?t1(w|n|c|ce|gd|gad|post|km|wi|se|tse|fse|ffe|mprage)?(3d)?{_END}"
    rf"|mp2?rage|f?spgr|{_EDGE}bravo{_END}",
    "T2w": rf"{_EDGE}(3d)?t2(w|wi|se|tse|fse|space)?(3d)?{_END}",
    "T2*w": rf"{_EDGE}t2(w?\*|[ _-]?star)w?|{_EDGE}hemo{_END}",
    "STIR": rf"{_EDGE}stir{_END}",
    "DWI": rf"{_EDGE}(dwi|dti|tracew|b1000)|diffusion",
    "ADC": rf"{_EDGE}adc{_END}|apparent.diffusion",
    "SWI": rf"{_EDGE}(swi|swan)|susceptibility",
    "BOLD": rf"{_EDGE}(bold|fmri){_END}",
    "perfusion": rf"perfusion|{_EDGE}(asl|dsc|dce|cbv|cbf){_END}",
    "angiography": rf"{_EDGE}(tof|mra)(3d)?{_END}|angio",
    "CT": rf"{_EDGE}(ct|cect|ncct){_END}",
}
# Words that only a description of a series means so; in a file's name they may be anybody's initials.
_LOOSE = {
    "PDw": rf"{_EDGE}pd(w)?{_END}|proton",
    "DWI": rf"{_EDGE}(diff|trace){_END}",
    "perfusion": rf"{_EDGE}perf{_END}",
    "PET": rf"{_EDGE}pet{_END}",
}
_CONTRAST_WORD = r"gd|gad\w*|ce|km|post(?!.?op)\w*|kontrast\w*|contrast\w*"
_CONTRAST = (
    rf"{_EDGE}({_CONTRAST_WORD})(?![a-z])"
    rf"|\+ ?c(?![a-z])|{_EDGE}c\+|t1(c|ce|gd|gad|post|km)(?![a-z])"
)
_PLAIN = rf"{_EDGE}(pre|without|w/o|wo|ohne|nativ\w*|(no|non)(?=[ _-]*({_CONTRAST_WORD})))(?![a-z])"
# A name as BIDS has it: entities, then the suffix that tells.
_BIDS = re.compile(r"sub-[a-z0-9]+(?P<entities>(_[a-z0-9]+-[a-z0-9+]+)*)_(?P<suffix>[a-z0-9]+)")
_BIDS_SUFFIXES = {
    "flair": "FLAIR", "t1w": "T1w", "inplanet1": "T1w", "t2w": "T2w", "inplanet2": "T2w", "t2starw": "T2*w",
    "t2star": "T2*w", "pdw": "PDw", "dwi": "DWI", "sbref": "BOLD", "bold": "BOLD", "asl": "perfusion",
    "angio": "angiography", "swi": "SWI", "ct": "CT", "pet": "PET",
}  # fmt: skip
_NO_AGENT = re.compile(
    r"(NO|NON|NONE|N|N/A|NIL|0+([.,]0*)?( ?ML)?|-+|WITHOUT|OHNE|KEIN)([ _-]+(CONTRAST|KONTRAST|KM|AGENT|GD|CE).*)?"
)
"""What stands for "none" in place of a contrast agent."""
_MODALITIES = {"CT": "CT", "PT": "PET"}
# DICOM's own words for what an Enhanced MR image shows (Acquisition Contrast, C.8.13.3).
_ACQUISITION = {
    "FLUID_ATTENUATED": "FLAIR", "T1": "T1w", "T2": "T2w", "T2_STAR": "T2*w", "PROTON_DENSITY": "PDw", "STIR": "STIR",
    "DIFFUSION": "DWI", "PERFUSION": "perfusion", "TIME_OF_FLIGHT": "angiography",
}  # fmt: skip


def sequence_of_text(text: str, *, name: bool = False) -> str | None:
    """The sequence that a series' description, or a name without its folder and ending, speaks of.

    Args:
        text: any text.
        name: it is a file's or folder's name, in which only unmistakable words count.

    Returns:
        one of `SEQUENCES`; None where nothing or more than one thing is said.
    """
    lowered = text.lower()
    if bids := _BIDS.fullmatch(lowered):
        suffix = _BIDS_SUFFIXES.get(bids["suffix"])
        return "T1w+contrast" if suffix == "T1w" and "_ce-" in bids["entities"] else suffix
    said = {kind for kind, words in _CLEAR.items() if re.search(words, lowered)}
    if not name:
        said |= {kind for kind, words in _LOOSE.items() if re.search(words, lowered)}
    if "ADC" in said:
        said.discard("DWI")
    if {"FLAIR", "T1w"} <= said and re.search(r"t1w?[ _-]*flair", lowered):
        said.discard("FLAIR")  # an inversion time chosen for the contrast of T1
    for special in ("FLAIR", "STIR", "T2*w", "SWI", "DWI", "ADC"):
        if special in said:
            said.discard("T2w")  # "T2 FLAIR": a kind of T2 weighting that has a name of its own
    if "SWI" in said or "perfusion" in said:
        said -= {"T2*w"}
    if len(said) != 1:
        return None
    kind = said.pop()
    if kind == "T1w" and re.search(_CONTRAST, lowered) and not re.search(_PLAIN, lowered):
        return "T1w+contrast"
    return kind


def sequence_of_names(names: Iterable[str]) -> str | None:
    """The sequence that the names of a case's files speak of, or else the name of their folder.

    Args:
        names: paths as text, or bare names; with or without endings.

    Returns:
        one of `SEQUENCES`; None where they do not tell, or differ.
    """
    paths = [name.replace("\\", "/").split("/") for name in names]
    for place in (-1, -2):
        parts = {path[place] for path in paths if len(path) >= -place}
        told = {sequence_of_text(_stem(part) if place == -1 else part, name=True) for part in parts}
        if told != {None} and told:
            return told.pop() if len(told) == 1 else None
    return None


def sequence_of_tags(tags: Mapping[str, Any]) -> str | None:
    """The sequence that a DICOM image's tags speak of.

    In this order: the modality, Acquisition Contrast, the series' description and the protocol's name, and at last the
    timing (echo, repetition, inversion), which tells the plain weightings apart.

    Args:
        tags: by DICOM keyword, those there are; numbers, texts, or lists of texts. Looked at: Modality, ImageType,
            AcquisitionContrast, SeriesDescription, ProtocolName, ScanningSequence, EchoTime, RepetitionTime,
            InversionTime (milliseconds), DiffusionBValue, ContrastBolusAgent.

    Returns:
        one of `SEQUENCES`, or None.
    """
    modality = _words(tags, "Modality")
    if modality and modality[0] != "MR":
        # Secondary captures and segmentations say nothing of what they show.
        return _MODALITIES.get(modality[0], None if modality[0] in ("OT", "SC", "SEG") else "other")
    if "ADC" in _words(tags, "ImageType"):
        return "ADC"
    kind = next((_ACQUISITION[word] for word in _words(tags, "AcquisitionContrast") if word in _ACQUISITION), None)
    for key in ("SeriesDescription", "ProtocolName"):
        kind = kind or sequence_of_text(" ".join(_words(tags, key)))
    if modality and kind in (None, "T2w"):
        timed = _by_timing(tags)
        # Makers call FLAIR by its readout, t2_tirm or t2_space; the inversion tells it.
        kind = timed if kind is None or timed in ("FLAIR", "STIR") else kind
    if kind == "T1w" and _has_contrast(tags):
        return "T1w+contrast"
    return kind


def same_sequence(sequence: str | None, wanted: str) -> bool | None:
    """Whether a scan's sequence is what a model learnt; None where either is not known.

    Args:
        sequence: of a scan.
        wanted: a model's input, as its card names it: "flair", "t1ce".
    """
    have = sequence if sequence is None or sequence in SEQUENCES else sequence_of_text(sequence)
    want = next((kind for kind in SEQUENCES if kind.lower() == wanted.lower()), None) or sequence_of_text(wanted)
    return None if have is None or want is None else have == want


def _by_timing(tags: Mapping[str, Any]) -> str | None:
    """The weighting that times in milliseconds make, at the field strengths of clinics."""
    if (_number(tags, "DiffusionBValue") or 0) > 0:
        return "DWI"
    echo, repetition = _number(tags, "EchoTime"), _number(tags, "RepetitionTime")
    inversion, kinds = _number(tags, "InversionTime") or 0, _words(tags, "ScanningSequence")
    if echo is None or repetition is None or "EP" in kinds:
        return None
    if inversion >= 1500 and repetition >= 4000:
        return "FLAIR" if echo >= 50 else None
    if 80 <= inversion <= 260 and repetition >= 2000:
        return "STIR"
    if "GR" in kinds and inversion == 0 and echo >= 12:
        return "T2*w"
    if echo <= 30 and (repetition <= 1000 or 500 <= inversion <= 1300):
        return "T1w"
    if inversion == 0 and repetition >= 2000 and "GR" not in kinds:
        return "T2w" if echo >= 60 else "PDw" if echo <= 40 else None
    return None


def _has_contrast(tags: Mapping[str, Any]) -> bool:
    agent = " ".join(_words(tags, "ContrastBolusAgent"))
    return bool(agent) and not _NO_AGENT.fullmatch(agent)


def _words(tags: Mapping[str, Any], key: str) -> list[str]:
    """A tag's texts in capitals."""
    value = tags.get(key)
    values = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
    return [word for entry in values if entry is not None and (word := str(entry).strip().upper())]


def _number(tags: Mapping[str, Any], key: str) -> float | None:
    value = tags.get(key)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _stem(name: str) -> str:
    return re.sub(r"(\.nii)?\.[A-Za-z0-9]{1,5}$", "", name)
