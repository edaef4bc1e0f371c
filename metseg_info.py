"""What `metseg info` tells of this installation and of a file; of a model: `metseg_card`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metseg_console import clean, counted

if TYPE_CHECKING:
    from core.errors import AmbiguousSeries
    from core.io.describe import FileInfo


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
    from core.unfamiliar.judge import MEASURED
    from core.unfamiliar.reference import load_reference

    try:
        folder = find_model(model)
        load_network(folder)
        load_reference(folder, MEASURED)
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
