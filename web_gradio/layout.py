"""What stands where on the page; nothing happens here."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from core.system import VERSION
from web_gradio import words
from web_gradio.models import find_predictor
from web_gradio.pictures import COLOURS
from web_gradio.room import Room

PICTURE = "png"
"""Gradio's own default would change the grey levels of what is shown and saved."""

FILE_WIDTHS: list[str | int] = ["150px", "80px", "90px", "130px", "300px"]


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """Where a visitor says what to do."""

    files: gr.File
    heads: gr.Gallery
    model: gr.Dropdown
    limits: gr.HTML
    threshold: gr.Slider
    min_lesion: gr.Number
    tta: gr.Checkbox
    channel: gr.Textbox
    series: gr.Dropdown
    find: gr.Button
    stop: gr.Button

    @property
    def inputs(self) -> list[gr.components.Component]:
        """What a result depends on."""
        return [self.files, self.model, self.threshold, self.min_lesion, self.tta, self.channel, self.series]


@dataclass(frozen=True, slots=True, eq=False)
class Showing:
    """Where a visitor sees what was found."""

    status: gr.HTML
    results: gr.Column
    cases: gr.Dataframe
    slice: gr.Slider
    pictures: gr.Row
    annotated: gr.AnnotatedImage
    compare: gr.ImageSlider
    lesions: gr.Dataframe
    mask: gr.DownloadButton
    overlay: gr.DownloadButton
    table: gr.DownloadButton
    report: gr.DownloadButton
    everything: gr.DownloadButton

    @property
    def buttons(self) -> list[gr.DownloadButton]:
        """What to take home."""
        return [self.mask, self.overlay, self.table, self.report, self.everything]


def lay_out(room: Room) -> tuple[Asking, Showing]:
    """Make all components, within a `gr.Blocks`."""
    gr.HTML(words.HEADER, padding=False)
    with gr.Row(equal_height=False, elem_classes="page"):
        with gr.Column(scale=4, min_width=280, elem_classes="asking"):
            asking = _asking(room)
        with gr.Column(scale=8, min_width=280, elem_classes="showing"):
            showing = _showing()
    _for_programs(room)
    gr.HTML(words.footer(room.settings.keep_seconds, share=room.settings.share), padding=False)
    return asking, showing


def _asking(room: Room) -> Asking:
    card = find_predictor(room.models, None).card
    files = gr.File(label="Scans: TIFF, PNG, JPEG, NIfTI, DICOM, zip", file_count="multiple", height=150)
    gr.HTML('<p class="title">Or take a drawn head</p>', padding=False)
    heads = gr.Gallery(
        [(example.picture, example.caption) for example in room.examples],
        label="Drawn heads",
        show_label=False,
        columns=len(room.examples),
        height="auto",
        format=PICTURE,
        allow_preview=False,
        buttons=[],
        interactive=False,
        elem_classes="heads",
    )
    names = list(room.models)
    model = gr.Dropdown(names, value=names[0], label="Model", filterable=False, interactive=True)
    with gr.Accordion("What this model cannot do", open=False):
        limits = gr.HTML(words.about(card.limits), padding=False)
    threshold = gr.Slider(
        0, 1, value=card.threshold, step=0.01, label="Threshold: a pixel this likely counts as lesion", buttons=[]
    )
    with gr.Accordion("More settings", open=False):
        min_lesion = gr.Number(0, label="Smallest lesion, in voxels", precision=0, minimum=0)
        tta = gr.Checkbox(False, label="Average with the mirrored image", info="Takes twice the time.")
        channel = gr.Textbox(
            "", label="Channel", info="For pictures of several channels: its number from 0, or its name.", max_lines=1
        )
    series = gr.Dropdown(
        [], value=None, label="Series: this file holds several, choose one", visible=False, elem_id="series"
    )
    find = gr.Button("Find lesions", variant="primary", size="lg")
    stop = gr.Button("Stop", variant="stop", size="lg", visible=False)
    return Asking(files, heads, model, limits, threshold, min_lesion, tta, channel, series, find, stop)


def _showing() -> Showing:
    status = gr.HTML(words.EMPTY, padding=False, elem_id="status")
    with gr.Column(visible=False, elem_classes="results") as results:
        cases = gr.Dataframe(
            headers=list(words.FILE_COLUMNS), column_widths=FILE_WIDTHS, label="Files: choose one to see it",
            interactive=False, visible=False, wrap=True, buttons=[], elem_id="cases",
        )  # fmt: skip
        slices = gr.Slider(1, 2, value=1, step=1, label="Slice", visible=False, buttons=[], elem_id="slice")
        with gr.Row(equal_height=False, elem_classes="pictures") as pictures:
            with gr.Column(min_width=280):
                gr.HTML('<p class="title">Lesions, each in its colour</p>', padding=False)
                annotated = gr.AnnotatedImage(
                    label="Lesions", show_label=False, format=PICTURE, color_map=COLOURS, elem_id="annotated"
                )
            with gr.Column(min_width=280):
                gr.HTML('<p class="title">The scan, and the mask drawn on it</p>', padding=False)
                compare = gr.ImageSlider(
                    label="Scan and mask", show_label=False, format=PICTURE, interactive=False, max_height=620,
                    buttons=["fullscreen"], elem_id="compare",
                )  # fmt: skip
        lesions = gr.Dataframe(
            headers=list(words.LESION_COLUMNS), label="Lesions: choose one to see its slice", interactive=False,
            buttons=[], max_height=300, elem_id="lesions",
        )  # fmt: skip
        with gr.Row(elem_classes="downloads"):
            mask, overlay, table, report, everything = (
                gr.DownloadButton(text, size="sm", interactive=False, min_width=120, elem_id=f"save-{name}")
                for name, text in (
                    ("mask", "Mask"),
                    ("overlay", "Overlay"),
                    ("table", "Table (CSV)"),
                    ("report", "Report (JSON)"),
                    ("everything", "All (zip)"),
                )
            )
    return Showing(
        status, results, cases, slices, pictures, annotated, compare, lesions, mask, overlay, table, report, everything
    )


def _for_programs(room: Room) -> None:
    access = ", auth=(USER, PASSWORD)" if room.settings.password is not None else ""
    with gr.Accordion("For programs", open=False, elem_classes="programs"):
        gr.Markdown("The same, called from Python with the package `gradio_client`:")
        gr.Code(
            "from gradio_client import Client, handle_file\n\n"
            f"page = Client(ADDRESS{access})\n"
            'page.predict(api_name="/models")\n'
            'mask, report = page.predict(handle_file("scan.tif"), threshold=0.5, api_name="/segment")\n'
            'results, report = page.predict([handle_file("a.tif"), handle_file("b.png")], api_name="/segment_files")\n',
            language="python",
            interactive=False,
            show_label=False,
            buttons=["copy"],
        )
        gr.Markdown(f"metseg {VERSION}")
