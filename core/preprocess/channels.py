"""Picks from a scan the channels that a model takes, by name, by layout or by the user's choice.

The choice is made once for a whole scan, never slice by slice: a case may hold slices whose channels happen to agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ChannelNeeded, InputError
from core.scan import Note, Scan
from core.sequence import same_sequence

LGG_LAYOUT = ("pre", "flair", "post")
COLOURS = ("red", "green", "blue")
OTHER_SEQUENCE, ONLY_CHANNEL, LGG_CHANNELS = "other-sequence", "only-channel", "lgg-channels"
"""Codes of notes; the first says that a scan is of another sequence than the model learnt."""
CHANNEL_NOTES = frozenset({OTHER_SEQUENCE, ONLY_CHANNEL, LGG_CHANNELS})
"""Codes of all that `select_channels` notes."""
JPEG_NOISE = 8
"""Grey levels by which the channels of a grey JPEG may differ; only 8-bit pictures are ever JPEGs."""


def select_channels(
    scan: Scan, inputs: tuple[str, ...], channel: int | str | None = None
) -> tuple[NDArray[Any], tuple[Note, ...]]:
    """Take from a scan the channels that a model's card asks for.

    In this order: the user's `channel`; the only channel there is, also where the user's is one that pictures of three
    have; the channels that bear the inputs' names, where three channels without names, as in a TIFF, are those of the
    LGG set (pre-contrast, FLAIR, post-contrast); one of several equal channels. Colours of a picture are never taken
    for sequences.

    Args:
        scan: the scan; its voxels are (S, C, H, W).
        inputs: the model's inputs by name, from its card.
        channel: the user's choice for a model with one input: an index from 0 (as a number or in digits) or a name.

    Returns:
        voxels (S, len(inputs), H, W) of the scan's dtype, a view where one channel is taken; and notes on what was
        assumed.

    Raises:
        ChannelNeeded: the channels differ and nothing says which to take.
        InputError: the chosen channel does not exist, or the model needs more channels than there are.
    """
    count, names = scan.voxels.shape[1], _names(scan)
    if channel is not None:
        if len(inputs) != 1:
            raise InputError(
                f"a single channel cannot be chosen for a model that takes {len(inputs)}; leave the choice out",
                source=scan.name,
            )
        index = _resolve(scan, names, channel)
        doubt = _doubt_sequence(scan, inputs[0]) if count == 1 else ()
        return _take(scan, (index,)), (_ONLY_CHANNEL, *doubt) if _is_of_three(scan, names, channel) else doubt
    if count == 1 and len(inputs) == 1:
        return scan.voxels, _doubt_sequence(scan, inputs[0])
    lowered = tuple(name.lower() for name in names)
    wanted = tuple(name.lower() for name in inputs)
    if set(wanted) <= set(lowered):
        notes: tuple[Note, ...] = ()
        if not scan.channels:  # names that were only supposed: grey saved in colour has one sequence, and no channels
            grey = _is_grey(scan.voxels)
            notes = (_doubt_sequence(scan, inputs[0]) if len(inputs) == 1 else ()) if grey else (_LGG_CHANNELS,)
        return _take(scan, tuple(lowered.index(name) for name in wanted)), notes
    if len(inputs) == 1 and _is_grey(scan.voxels):
        # In a JPEG, green is the channel nearest to brightness.
        return _take(scan, (1,)), _doubt_sequence(scan, inputs[0])
    if len(inputs) > 1:
        raise InputError(
            f"the model takes the channels {', '.join(inputs)}, and the scan has these: {_listing(count, names)}; "
            "choose a model that takes what there is",
            source=scan.name,
        )
    kind = "this is a coloured picture" if lowered == COLOURS else f"the {count} channels of this scan differ"
    raise ChannelNeeded(f"{kind}; choose a channel: {_listing(count, scan.channels)}", source=scan.name)


_ONLY_CHANNEL = Note(ONLY_CHANNEL, "the chosen channel is not in this scan, which has one; that one was taken")
_LGG_CHANNELS = Note(
    LGG_CHANNELS,
    "the three channels differ and were taken as pre-contrast, FLAIR and post-contrast, as in the LGG set",
)


def _doubt_sequence(scan: Scan, wanted: str) -> tuple[Note, ...]:
    """A note where a scan is known to be of another sequence than the model's input."""
    if same_sequence(scan.sequence, wanted) is not False:
        return ()
    message = (
        f"this scan seems to be {scan.sequence} and the model learnt {wanted.upper()}; do not rely on what it finds"
    )
    return (Note(OTHER_SEQUENCE, message),)


def channel_name(scan: Scan, channel: int | str) -> str:
    """What the channel that the user chose is called, see `select_channels`; "channel N" where nothing names it.

    Raises:
        InputError: it does not exist.
    """
    names = _names(scan)
    index = _resolve(scan, names, channel)
    return names[index].lower() if index < len(names) else f"channel {index}"


def _names(scan: Scan) -> tuple[str, ...]:
    """The channels' names; three that nobody named are those of the LGG set."""
    return LGG_LAYOUT if not scan.channels and scan.voxels.shape[1] == len(LGG_LAYOUT) else scan.channels


def _take(scan: Scan, indices: tuple[int, ...]) -> NDArray[Any]:
    if len(indices) == 1:
        return scan.voxels[:, indices[0] : indices[0] + 1]
    return scan.voxels[:, list(indices)]


def _is_of_three(scan: Scan, names: tuple[str, ...], channel: int | str) -> bool:
    """Whether a choice made for pictures of three channels meets a scan of one, which does not have it."""
    text = str(channel).strip().lower()
    lone = scan.voxels.shape[1] == 1 and text not in [name.lower() for name in names]
    return lone and text in ("1", "2", *COLOURS, *LGG_LAYOUT)


def _resolve(scan: Scan, names: tuple[str, ...], channel: int | str) -> int:
    """The index that the user's choice means."""
    count = scan.voxels.shape[1]
    text = str(channel).strip().lower()
    lowered = [name.lower() for name in names]
    if text in lowered:
        return lowered.index(text)
    # Only plain digits: int() would also take "1_0", " 1" or other scripts' digits.
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) < count:
        return int(text)
    if _is_of_three(scan, names, channel):
        return 0
    raise InputError(f"there is no such channel; choose from these: {_listing(count, names)}", source=scan.name)


def _listing(count: int, names: tuple[str, ...]) -> str:
    shown = [f"{index} ({names[index]})" if index < len(names) else str(index) for index in range(min(count, 8))]
    if count > len(shown):
        shown.append(f"… {count - 1}")
    return ", ".join(shown)


def _is_grey(voxels: NDArray[Any]) -> bool:
    """Whether all channels of (S, C, H, W) are equal; in 8-bit voxels, within JPEG's noise."""
    for image in voxels:  # (C, H, W)
        first = image[0]
        for other in image[1:]:
            if voxels.dtype == np.uint8:
                low, high = np.minimum(first, other), np.maximum(first, other)
                if int((high - low).max()) > JPEG_NOISE:
                    return False
            elif not np.array_equal(first, other, equal_nan=voxels.dtype.kind == "f"):
                return False
    return True
