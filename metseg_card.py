"""A model's card as a page, see `metseg info MODEL`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from metseg_console import PLAIN_WIDTH, clean, counted

Row = tuple[str, str]
"""A label and what is said beside it; a further line of the same has no label."""

Words = Callable[[Any], str | list[str]]
"""Says a value of a card in words, in one line or in several."""

NARROWEST = 80
"""Columns that a page takes, however narrow the terminal is."""

MOST_ENTRIES = 12
"""Of a list that are written out; of a longer one only how many they are."""

EMPTY: tuple[object, ...] = (None, "", (), [], {})
CALIBRATED = "calibration_error_with_temperature"
NAMES = {
    "held_out": "left out",
    "split": "division",
    "patient_rule": "patients told by",
    "empties": "empty slices",
    "average": "weights",
    "settings": "run with",
    CALIBRATED: "Calibration error with temperature",
    "measured": "how",
    "lesions_true": "true lesions",
    "lesions_found": "of these found",
    "lesions_predicted": "lesions marked",
    "lesions_false": "of these false",
    "found_ml": "millilitres marked",
    "dice": "Dice",
    "n": "patients",
    "inner_dice": "mean Dice of the watched patients",
    "inner_dice_median": "its median",
}
"""Of entries whose keys do not explain themselves."""


def print_card(card: Mapping[str, Any], folder: Path) -> None:
    """A model's card as a page, for people; patients are counted there, card.json names them."""
    print(f"{clean(card['name'])}, version {clean(card['version'])}")
    _print_wrapped(f"Outlines lesions in brain MRI, slice by slice: {card['summary']}".rstrip(" .:") + ".")
    for title, rows in _card_sections(card, folder):
        if rows:
            print(f"\n{title}")
        column = max((len(label) + 2 for label, _ in rows if label), default=0)
        for label, text in rows:
            _print_wrapped(text, f"  {clean(label).ljust(column)}")


def _print_wrapped(text: str, label: str = "") -> None:
    import shutil
    import textwrap

    columns = shutil.get_terminal_size((PLAIN_WIDTH, 0)).columns
    lines = textwrap.wrap(
        clean(text),
        min(max(columns, NARROWEST), PLAIN_WIDTH),
        initial_indent=label,
        subsequent_indent=" " * len(label) + ("  " if text.startswith("- ") else ""),
        break_long_words=False,
        break_on_hyphens=False,
    )
    print("\n".join(lines))


def _card_sections(card: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, list[Row]]]:
    """Titles, and what stands under each: nothing where the card does not say."""
    from core.evaluation.metrics import METRICS

    metrics, learnt = dict(_entries(card["metrics"])), dict(_entries(card["data"]))
    figures = dict(_entries(metrics.pop("figures", {})))
    if CALIBRATED in metrics:
        figures[CALIBRATED] = metrics.pop(CALIBRATED)
    made = {"made_with": learnt.pop("made_with", None)}
    counts = [figure.get("n") for figure in figures.values() if isinstance(figure, Mapping)]
    everybody = max((count for count in counts if isinstance(count, int)), default=None)
    known = {metric.key: partial(_figure, digits=metric.digits, everybody=everybody) for metric in METRICS}
    known[CALIBRATED] = partial(_figure, digits=4)
    labels = {metric.key: ", ".join(filter(None, (metric.label, metric.unit))) for metric in METRICS}
    yield "How good it is: mean over patients (95 % interval), median", _card_rows(figures, known, NAMES | labels)
    yield "Measured", _card_rows(metrics, MEASURED)
    yield "What it learnt from", _card_rows(learnt, LEARNT_FROM)
    yield "What it sees", _card_rows(_preprocessing(card), {})
    yield "How it was trained", _card_rows({**_entries(card["recipe"]), **made}, TRAINED)
    yield "Limits", [("", f"- {sentence}") for sentence in card["limits"]]
    weights = {"licence": card["licence"], "SHA-256": card["weights"]["sha256"], "folder": str(folder)}
    yield "Weights", _card_rows(weights, {})


def _entries(part: object) -> Mapping[str, Any]:
    """A part of a card in which everybody may write what they like."""
    return part if isinstance(part, Mapping) else {"said": part}


def _card_rows(part: object, known: Mapping[str, Words], names: Mapping[str, str] = NAMES) -> list[Row]:
    """A part of a card: known entries first, in words, then what else somebody wrote there; no empty ones."""
    entries = _entries(part)
    rows: list[Row] = []
    for key in (*(key for key in known if key in entries), *(key for key in entries if key not in known)):
        said = _in_words(entries[key], known.get(key, _plain))
        lines = [said] if isinstance(said, str) else said
        rows += [("" if number else _name(key, names), line) for number, line in enumerate(lines) if line]
    return rows


def _in_words(value: object, words: Words) -> str | list[str]:
    """A value in words, as it is where metseg would write something of another kind, and not at all where empty."""
    try:
        return "" if value in EMPTY else words(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return _plain(value)


def _name(key: str, names: Mapping[str, str] = NAMES) -> str:
    return names.get(key, key.replace("_", " "))


def _plain(value: Any) -> str:
    """Any value in one line."""
    if isinstance(value, Mapping | list | tuple) and len(value) > MOST_ENTRIES:
        return f"{len(value):,} entries, see card.json"
    match value:
        case {"mean": float(), "low": float(), "high": float()}:
            return _figure(value)
        case Mapping():
            return ", ".join(f"{_name(key)} {_plain(entry)}" for key, entry in value.items() if entry not in EMPTY)
        case list() | tuple():
            return ", ".join(map(_plain, value))
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
    return str(value)


def _and_rest(text: str, value: Mapping[str, Any], *said: str) -> str:
    """A text, and the entries of a value that it does not tell."""
    rest = _plain({key: entry for key, entry in value.items() if key not in said})
    return ", ".join(filter(None, (text, rest)))


def _figure(value: Mapping[str, Any], digits: int = 3, everybody: int | None = None) -> str:
    """A mean with its interval, and how many patients it is of where that is not everybody."""
    shown = {
        key: f"{entry:,.{digits}f}".replace("-", "−") if isinstance(entry, float) else entry
        for key, entry in value.items()
        if (key, entry) != ("n", everybody)
    }
    return _and_rest("{mean} ({low} to {high})".format(**shown), shown, "mean", "low", "high")


def _patients(names: object, note: str) -> str:
    return f"{len(names):,}, {note}" if isinstance(names, list | tuple) else _plain(names)


def _folds(folds: Mapping[str, Any]) -> str:
    text = f"{len(folds['scored'])} of {folds['name']}: {', '.join(map(str, folds['scored']))}"
    return _and_rest(text, folds, "name", "scored")


def _stage(stage: Mapping[str, Any]) -> str:
    epochs, shrink, window, peak = (stage[key] for key in ("epochs", "shrink", "window", "peak"))
    text = f"{counted(epochs, 'epoch')} at {_resolution(shrink)}, windows of {window} pixels, "
    return _and_rest(f"{text}learning rate up to {peak:g}", stage, "epochs", "shrink", "window", "peak")


def _resolution(shrink: int) -> str:
    return {1: "full resolution", 2: "half resolution"}.get(shrink, f"1/{shrink} of the resolution")


def _augmentation(strengths: Mapping[str, float]) -> str:
    felt = {key: strength for key, strength in strengths.items() if strength}
    known = [text.format(scale(felt[key])).replace("%", " %") for key, (text, scale) in CHANGES.items() if key in felt]
    return _and_rest(", ".join(known), felt, *CHANGES)


def _preprocessing(card: Mapping[str, Any]) -> dict[str, str]:
    """What becomes of a scan, and of the network's answer, in words."""
    network, settings = card["network"], card["preprocessing"]
    (low, high), clip, size = settings["percentiles"], settings["clip_limit"], settings["size"]
    grid, reference = settings["grid"], settings["reference_mm"]
    if grid == "auto" and reference is None:
        grid = "fit"
    filters, channels = network["filters"], settings["channels"]
    return {
        "input": f"{counted(len(channels), 'channel')}: {', '.join(channels)}",
        "grey levels": f"8 bit; wider ones are scaled between their percentiles {low:g} and {high:g}",
        "grid": {
            "auto": f"{reference} mm a pixel where the spacing is known, else {size} pixels along the longer side",
            "fit": f"{size} pixels along the longer side",
            "stretch": f"{size} × {size} pixels",
            "native": "the scan's own",
        }[grid],
        "CLAHE": f"tiles of {settings['tile_px']} pixels, clip limit {clip:g}" if clip >= 0 else "none",
        "resolution": _resolution(settings["shrink"]),
        "grey scale": "from the median of the head, in units of its spread" if settings["standardise"] else "0 to 1",
        "network": f"{network['name']} with {', '.join(map(str, filters))} filters",
        "neighbours": f"the slices above and below weigh {card['neighbours']:g} each" if card["neighbours"] else "",
        "temperature": f"{card['temperature']:.3g}, which divides the logits" if card["temperature"] != 1 else "",
        "threshold": f"lesion from a probability of {card['threshold']:g}",
    }


MEASURED: dict[str, Words] = {
    "measured": str,
    "folds": _folds,
    "settings": lambda settings: _plain({key: value for key, value in settings.items() if value}),
    "other_tissue": lambda found: [f"{name}: {_plain(figures)}" for name, figures in found.items()],
}
RULE = {"pattern": "the pattern {}", "files": "a table of files", "each_image": "every image is of another patient"}
LEARNT_FROM: dict[str, Words] = {
    "patients": partial(_patients, note="named in card.json"),
    "set": str,
    "source": str,
    "watched": partial(_patients, note="only watched while it learnt"),
    "held_out": partial(_patients, note="never looked at"),
    "split": str,
    "patient_rule": lambda rule: ", ".join(RULE[key].format(value) for key, value in rule.items() if value),
}
LOSSES = {"dice-ce": "soft Dice plus cross-entropy", "focal-tversky": "focal Tversky"}
TRAINED: dict[str, Words] = {
    "stages": lambda stages: [_stage(stage) for stage in stages],
    "loss": lambda loss: LOSSES[loss],
    "batch": lambda batch: counted(batch, "slice"),
    "empties": lambda share: f"{share:g} without lesion for each slice with, in every epoch",
    "ends": lambda count: "" if count == 1 else f"the mean of those at the ends of the last {count} stages",
    "average": lambda share: f"moving average of all steps, {share:g} of which is kept at each",
    "augmentation": _augmentation,
}
CHANGES: dict[str, tuple[str, Callable[[float], float]]] = {
    "rotation": ("turned by up to {:g}°", float),
    "scale": ("resized by up to {:.0%}", math.expm1),
    "shift": ("moved by up to {:g} pixels", float),
    "flip": ("mirrored with probability {:g}", float),
    "gain": ("contrast changed by up to {:.0%}", math.expm1),
    "offset": ("brightness by up to {:g} spreads", float),
    "gamma": ("gamma by up to {:.0%}", math.expm1),
    "bias": ("smooth shading of up to {:g} spreads", float),
    "noise": ("noise of up to {:g} spreads", float),
    "blur": ("blurred with probability {:g}", float),
}
"""How `training.augment.AugmentSettings` are told, and what makes of a strength the number to tell."""
