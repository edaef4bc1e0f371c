"""What `metseg info` tells: of this installation, of a model, of a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metseg_console import PLAIN_WIDTH, clean, counted

if TYPE_CHECKING:
    from core.errors import AmbiguousSeries
    from core.io.describe import FileInfo

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


def gather_info(check: bool) -> dict[str, Any]:
    """What `metseg info` says, JSON-ready; torch is imported only for the check."""
    import dataclasses
    import platform

    from core.errors import MetsegError
    from core.model_store import SHIPPED, load_card, shipped_models
    from core.system import RESEARCH_ONLY, VERSION, cache_folder, check_torch, list_devices

    models: list[dict[str, Any]] = []
    for index, name in enumerate(shipped_models()):
        entry: dict[str, Any] = {"name": name, "default": index == 0}
        try:
            card = load_card(SHIPPED / name)
            entry |= {"version": card.version, "summary": card.summary, "network": card.network.name}
            entry |= {"sha256": card.weights.sha256, "threshold": card.threshold, "licence": card.licence}
        except MetsegError as error:
            entry["error"] = str(error)
        models.append(entry)
    known: dict[str, Any] = {
        "metseg": VERSION,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "models": models,
        "devices": [dataclasses.asdict(device) for device in list_devices()],
        "folders": {"program": str(Path(__file__).resolve().parent), "models": str(SHIPPED)},
        "research_use_only": RESEARCH_ONLY,
    }
    try:
        known["folders"]["cache"] = str(cache_folder())
    except RuntimeError:  # a user without a home has no cache either
        known["folders"]["cache"] = None
    if check:
        loads = [{"name": model["name"], "problem": _loading_problem(model["name"])} for model in models]
        known["check"] = {**check_torch(), "models": loads}
    return known


def _loading_problem(model: str) -> str | None:
    from core.errors import MetsegError
    from core.model_store import find_model, load_network

    try:
        load_network(find_model(model))
    except MetsegError as error:
        return str(error)
    return None


def print_info(info: Mapping[str, Any]) -> None:
    """The machine and the models as a page."""
    print(f"metseg {info['metseg']}, Python {info['python']}, {clean(info['platform'])}")
    print("\nModels")
    for model in info["models"]:
        mark = " (default)" if model["default"] else ""
        print(f"  {clean(model['name'])}{mark}: {clean(model.get('error') or model['summary'])}")
    if not info["models"]:
        print("  none came with this installation")
    print("\nDevices, as the driver reports them")
    for device in info["devices"]:
        parts = [clean(device["name"])]
        if device["memory_bytes"]:
            parts.append(f"{device['memory_bytes'] / 2**30:.1f} GiB")
        if device["threads"]:
            parts.append(counted(device["threads"], "thread"))
        if device["features"]:
            parts.append(" ".join(device["features"]))
        if device["driver"]:
            parts.append(f"driver {device['driver']}")
        if device["capability"]:
            parts.append(f"compute capability {device['capability']}")
        print(f"  {device['kind']}: {', '.join(parts)}")
    print("\nFolders")
    for name, folder in info["folders"].items():
        print(f"  {name}: {clean(folder)}")
    if check := info.get("check"):
        _print_check(check)
    print(f"\n{info['research_use_only']}")


def _print_check(check: Mapping[str, Any]) -> None:
    print("\nCheck")
    built = f"built for CUDA {check['cuda_built']}" if check["cuda_built"] else "built for the CPU alone"
    print(f"  torch {check['torch']}, {built}, {counted(check['threads'], 'thread')}")
    for device in check["devices"]:
        print(f"  {device['device']} ({clean(device['name'])}): {clean(device['problem'] or 'computes')}")
    for model in check["models"]:
        print(f"  {clean(model['name'])}: {clean(model['problem'] or 'loads, its weights are those of its card')}")


def print_scan(told: FileInfo) -> None:
    """What a file or a case is, as a page."""
    values = told.to_json()
    print(f"{clean(told.name)}: {told.format}, {counted(told.files, 'file')}")
    channels = f" of {counted(values['channels'], 'channel')}" if values["channels"] > 1 else ""
    pixels = f"{values['width']}×{values['height']} pixels"
    lines = [("size", f"{counted(values['slices'], 'slice')}{channels}, {pixels}, {values['dtype']}")]
    between, row, column = (f"{mm:.4g}" if mm else "unknown" for mm in values["spacing_mm"])
    lines.append(("spacing", f"{between} between slices, {row} between rows, {column} between columns, in mm"))
    known = values["orientation"]
    where = f"columns, rows and slices run towards {', '.join(known)}" if known else "unknown: no left or right"
    lines += [("orientation", where), ("sequence", values["sequence"] or "nothing tells"), *told.described.facts]
    for name, value in lines:
        print(f"  {clean(name)}: {clean(value)}")
    for note in told.notes:
        print(f"  Note: {clean(note.message)} [{note.code}]")


def print_series(path: str, several: AmbiguousSeries) -> None:
    """The series that lie in a file or folder, and how one is chosen."""
    print(f"{clean(Path(path).name)}: {len(several.choices)} series to choose from [{several.code}]")
    for choice in several.choices:
        print(f"  {clean(choice.key)}: {clean(choice.description)}")
    print("Say which one with --series.")


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
