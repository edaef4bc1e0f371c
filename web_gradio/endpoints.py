"""What programs call by name, with `gradio_client`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api as add_api

from core.errors import UsageError
from web_gradio.downloads import report_of, write_downloads, write_masks
from web_gradio.findings import Finding, Outcome, Step, find_in_file, find_in_files
from web_gradio.models import find_predictor
from web_gradio.plain import plainly
from web_gradio.room import Room
from web_gradio.sources import sources_of
from web_gradio.wanted import wanted_of


def add_endpoints(room: Room, inference: dict[str, Any]) -> None:
    """Add the endpoints `/models`, `/segment` and `/segment_files`, within a `gr.Blocks`."""

    def models() -> list[dict[str, Any]]:
        """The models of this page, the default first."""
        cards = [predictor.card for predictor in room.models.values()]
        return [{"name": card.name, "summary": card.summary, "threshold": card.threshold} for card in cards]

    def segment(
        file: gr.FileData,
        model: str | None = None,
        threshold: float | None = None,
        tta: bool = False,
        min_lesion: int = 0,
        channel: int | str | None = None,
        series: str | None = None,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Find lesions in a file: its mask, and a report."""
        with plainly():
            wanted = wanted_of(threshold, tta, min_lesion, channel, series)
            (source,) = sources_of([_path(room, file)], room.settings).cases
            predictor = find_predictor(room.models, model)
            *_, found = find_in_file(source, source.name, predictor, wanted, room.settings)
            if not isinstance(found, Finding):
                raise ValueError("a file's last step is what was found")
            mask, *_ = write_masks(found, _place(room))
            return _file(mask), report_of([found])

    def segment_files(
        files: list[gr.FileData] | None,
        model: str | None = None,
        threshold: float | None = None,
        tta: bool = False,
        min_lesion: int = 0,
        channel: int | str | None = None,
        series: str | None = None,
    ) -> tuple[gr.FileData | None, dict[str, Any]]:
        """Find lesions in several files: a zip of masks, overlays and tables, and a report; no zip where all failed.

        Files are grouped as those of a folder: NAME_1.tif, NAME_2.tif, … are one case, and NAME_mask.tif is left out.
        """
        with plainly():
            wanted = wanted_of(threshold, tta, min_lesion, channel, series)
            if not isinstance(files, list | None):
                raise UsageError("the files must be a list; give each in it as handle_file(...) does")
            paths = [_path(room, file) for file in files or ()]
            steps = find_in_files(paths, find_predictor(room.models, model), wanted, room.settings)
            outcomes: list[Outcome] = [step for step in steps if not isinstance(step, Step)]
            found = [outcome for outcome in outcomes if isinstance(outcome, Finding)]
            made = write_downloads(outcomes, found[0], _place(room)) if found else None
            return None if made is None else _file(made.everything), report_of(outcomes)

    add_api(models, api_name="models", queue=False)
    add_api(segment, api_name="segment", **inference)
    add_api(segment_files, api_name="segment_files", **inference)


def _path(room: Room, file: Any) -> Path:
    """Where an upload lies. Gradio looks only at what is marked as a file, so what is not is refused here.

    Raises:
        UsageError: it is no upload.
    """
    try:
        path = Path(file["path"]).resolve()
        upload = file["meta"]["_type"] == "gradio.FileData" and path.is_relative_to(room.uploads.resolve())
    except (KeyError, TypeError, ValueError, OSError):
        upload = False
    if not upload:
        raise UsageError("this is no uploaded file; give it as handle_file(...) does")
    return path


def _place(room: Room) -> Path:
    """A folder that is removed in time."""
    return room.shelf.get(room.shelf.put(())).folder


def _file(path: Path) -> Any:
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
