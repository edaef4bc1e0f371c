"""The third step of the page: looking at a case. All of it is redrawn from what is already here."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import ChannelNeeded, InputError, OutputError, sentence
from core.io import RawFile
from core.measure.dice import EMPTY_RULE, dice
from core.measure.totals import sum_up
from core.model_card import ModelCard, PreprocessSettings
from core.unfamiliar.judge import DOUBTS
from core.views import View, views_of
from web_streamlit.asking import chosen_channel
from web_streamlit.cases import Case, read_truth
from web_streamlit.desk import Desk
from web_streamlit.downloads import (
    Result,
    batch_row,
    mask_files,
    no_mask,
    overlay_file,
    record_file,
    zip_file,
    zip_masks,
)
from web_streamlit.findings import Images
from web_streamlit.intake import plain
from web_streamlit.lesion_table import show_lesions
from web_streamlit.pictures import Frame, grey_png, overlay_png, probability_png
from web_streamlit.planes import point_of, show_planes
from web_streamlit.preset import preset
from web_streamlit.settings import Settings
from web_streamlit.surface import surface_figure
from web_streamlit.uploads import hold

ORIGINAL, CLAHE, OVERLAY, PROBABILITY, AGREEMENT = "Original", "CLAHE", "Overlay", "Probability", "Agreement"
SLICES, PLANES, SURFACE = "Slices", "Three planes", "Surface"
ALMOST_SQUARE = 0.02
AMBER, BLUE = "#ffb000", "#4cc2ff"


@st.fragment
def look(desk: Desk, settings: Settings, case: Case) -> None:
    """Show a case: before anything ran its slices, afterwards what was found in them."""
    cards = desk.cards_of(case)
    if not cards:
        _before(desk, case)
        return
    card = _model_shown(cards, case)
    views = views_of(case.scan)
    layout = _layout(views, found=True)
    doubts = st.container()
    beside = st.columns([5, 3], gap="large") if layout == SLICES else (st.container(), st.container())
    with beside[1]:
        _knobs(desk, card)
        result = desk.result(case, card)
        index = point_of(desk, case, views[0])[0]
        _numbers(result, views[0], index)
        show_lesions(desk, result, views[0])
    with beside[0]:
        shown = _show(desk, result, cards, views, layout)
        if shown:
            _legend(result, shown)
    for note in result.warnings:
        if note.code in DOUBTS:
            doubts.warning(plain(sentence(note.message)))
        else:
            st.caption(f":material/info: {plain(note.message)}")
    _downloads(result)
    _truth_upload(desk, settings, case)
    if desk.moved and desk.table_follows and len(desk.reading.cases) > 1:
        # Only now: what the user looks at comes first, and this part of the page was drawn without the table.
        st.rerun(scope="app")


def _show(desk: Desk, result: Result, cards: tuple[ModelCard, ...], views: tuple[View, ...], layout: str) -> list[str]:
    """What was found, in the layout that was chosen; the names of the pictures."""
    if layout == SURFACE:
        st.plotly_chart(surface_figure(result), width="stretch", key="surface", config={"displaylogo": False})
        return []
    if layout == PLANES:
        show_planes(desk, result.case, result.images, result, views)
        return [OVERLAY]
    names = _names(bool(result.other), found=True)
    index = _slice_slider(desk, result.case, views[0])
    _draw(_pictures(desk, result, cards, names, views[0], index))
    return names


def _layout(views: tuple[View, ...], found: bool) -> str:
    """How a volume is laid out; a stack that cannot be cut across has no choice."""
    if len(views) == 1:
        return SLICES
    options = (SLICES, PLANES, SURFACE) if found else (SLICES, PLANES)
    chosen = st.segmented_control(
        "Layout", options, default=SLICES, required=True, key=f"layout-{found}", label_visibility="collapsed"
    )
    return chosen or SLICES


def _before(desk: Desk, case: Case) -> None:
    preprocessing = desk.models[0].preprocessing if desk.models else PreprocessSettings()
    try:
        images = desk.images(case, preprocessing, chosen_channel())
    except InputError as error:
        where = " (above, under Options)" if isinstance(error, ChannelNeeded) else ""
        st.info(sentence(error.detail + where))
        return
    views = views_of(case.scan)
    if _layout(views, found=False) == PLANES:
        show_planes(desk, case, images, None, views)
    else:
        names = _names(False, found=False)
        index = _slice_slider(desk, case, views[0])
        _draw([(name, _plain_picture(images, name, views[0], index)) for name in names])
    for note in images.notes:
        st.caption(f":material/info: {note.message}")


def _model_shown(cards: tuple[ModelCard, ...], case: Case) -> ModelCard:
    if len(cards) == 1:
        return cards[0]
    names = [card.name for card in cards]
    name = st.segmented_control("Model shown", names, default=names[0], required=True, key=f"shown-{case.key}")
    return cards[names.index(name or names[0])]


def _names(compared: bool, found: bool) -> list[str]:
    options = [OVERLAY, ORIGINAL, CLAHE, PROBABILITY] if found else [ORIGINAL, CLAHE]
    options += [AGREEMENT] * compared
    default = [OVERLAY] if compared else options[:2]
    chosen = st.pills("View", options, selection_mode="multi", default=default, key=f"views-{found}-{compared}")
    return [view for view in options if view in chosen] or options[:1]


def _slice_slider(desk: Desk, case: Case, view: View) -> int:
    slices, key = view.shape[0], f"slice-{case.key}"
    if slices == 1:
        return 0
    preset(key, point_of(desk, case, view)[0] + 1)

    def moved() -> None:
        desk.slices[case.key] = st.session_state[key] - 1

    return int(st.slider("Slice", 1, slices, key=key, on_change=moved)) - 1


def _knobs(desk: Desk, card: ModelCard) -> None:
    key = f"threshold-{card.name}"
    preset(key, desk.threshold(card))

    def moved() -> None:
        desk.thresholds[card.name], desk.moved = st.session_state[key], True

    help_text = "From this probability on, a voxel is lesion."
    st.slider("Threshold", 0.01, 0.99, step=0.01, key=key, on_change=moved, help=help_text)
    left, right = st.columns(2, vertical_alignment="bottom")
    left.slider("Opacity", 0.0, 1.0, step=0.05, key="opacity", on_change=_bound(desk, "opacity"))
    right.toggle("Outline", key="outline", on_change=_bound(desk, "outline"))

    def changed() -> None:
        desk.min_lesion, desk.moved = st.session_state["min_lesion"], True

    preset("min_lesion", desk.min_lesion)
    st.number_input("Smallest lesion, in voxels", 0, 10_000, key="min_lesion", on_change=changed)


def _bound(desk: Desk, name: str) -> Callable[[], None]:
    """Makes a widget whose key is an attribute's name show that attribute, and gives what takes a change over."""
    preset(name, getattr(desk, name))
    return lambda: setattr(desk, name, st.session_state[name])


def _numbers(result: Result, view: View, index: int) -> None:
    finding = result.finding
    numbers = {"Lesions": str(len(finding.lesions)), "Size": _size(result)}
    if result.truth is not None:
        numbers["Dice"] = f"{result.dice:.3f}"
    if result.other is not None:
        numbers["Agreement"] = f"{result.agreement:.3f}"
    with st.container(horizontal=True, gap="medium"):
        for label, value in numbers.items():
            st.metric(label, value, width="content")
    here, own = [], view.turn(finding.mask)[index]
    if result.truth is not None:
        here.append(f"Dice with the truth {dice(own, view.turn(result.truth)[index]):.3f}")
    if result.other is not None:
        here.append(f"agreement with {result.other[0]} {dice(own, view.turn(result.other[1])[index]):.3f}")
    if here:
        where = f"In slice {index + 1}: " if view.shape[0] > 1 else ""
        agreement = " Agreement is the Dice between the two models' masks." if result.other is not None else ""
        st.caption(f"{where}{'; '.join(here)}. {EMPTY_RULE}{agreement}")


def _size(result: Result) -> str:
    scan = result.case.scan
    return sum_up(result.finding.mask, scan).text(lone=scan.shape[0] == 1)


def _plain_picture(images: Images, name: str, view: View, index: int) -> bytes:
    if name != CLAHE:
        return grey_png(view.cut(images.grey, index), Frame(view.aspect, view.letters))
    image = images.equalised(index)  # on the network's grid, whose pixels have proportions of their own
    _, height, width = view.shape
    aspect = view.aspect * (height / width) * (image.shape[1] / image.shape[0])
    return grey_png(image, Frame(aspect if abs(aspect - 1) > ALMOST_SQUARE else 1.0, view.letters))


def _pictures(
    desk: Desk, result: Result, cards: tuple[ModelCard, ...], names: list[str], view: View, index: int
) -> list[tuple[str, bytes]]:
    """Label and PNG of what is to be seen of a slice."""
    frame = Frame(view.aspect, view.letters)
    grey, mask = view.cut(result.images.grey, index), view.cut(result.finding.mask, index)
    truth = None if result.truth is None else view.cut(result.truth, index)
    drawn: list[tuple[str, bytes]] = []
    for name in names:
        if name == OVERLAY:
            for card in cards:
                own = view.cut(desk.finding(desk.found[result.case.key, card.name]).mask, index)
                label = f"{name}: {card.name}" if len(cards) > 1 else name
                drawn.append((label, overlay_png(grey, own, truth, desk.opacity, desk.outline, frame)))
        elif name == PROBABILITY:
            likely = view.cut(result.finding.probability, index)
            drawn.append((name, probability_png(likely, mask, desk.outline, frame)))
        elif name == AGREEMENT and result.other is not None:
            label = f"{result.found.task.card.name} filled, {result.other[0]} outlined"
            other = view.cut(result.other[1], index)
            drawn.append((label, overlay_png(grey, mask, other, desk.opacity, desk.outline, frame)))
        else:
            drawn.append((name, _plain_picture(result.images, name, view, index)))
    return drawn


def _draw(pictures: list[tuple[str, bytes]]) -> None:
    columns = st.columns(2)  # also for one: a slice as wide as the page is of no use
    for number, (label, picture) in enumerate(pictures):
        columns[number % len(columns)].image(picture, caption=label, width="stretch", alt=label)


def _legend(result: Result, views: list[str]) -> None:
    keys = [f'<span class="key"><i style="background:{AMBER}"></i>found by the model</span>']
    if result.truth is not None and OVERLAY in views:
        keys.append(f'<span class="key"><i class="line" style="border-color:{BLUE}"></i>ground truth</span>')
    if AGREEMENT in views and result.other is not None:
        keys.append(f'<span class="key"><i class="line" style="border-color:{BLUE}"></i>the other model</span>')
    st.html("".join(keys))


def _downloads(result: Result) -> None:
    try:
        masks = mask_files(result)
    except OutputError as error:
        masks = {}
        st.warning(no_mask(error))
    rows = [batch_row(result)]
    with st.container(horizontal=True):
        if len(masks) == 1:
            name, content = next(iter(masks.items()))
            _save("Mask", content, name)
        elif masks:
            _save(f"{len(masks)} masks", lambda: zip_masks(masks), f"{result.name}_masks.zip")
        _save("Overlay", lambda: overlay_file(result), f"{result.name}_overlay.png")
        _save("JSON", record_file(result), f"{result.name}.json")
        _save("All, zipped", lambda: zip_file([result], rows), f"{result.name}.zip")


def _save(label: str, content: bytes | Callable[[], bytes], name: str) -> None:
    st.download_button(label, content, name, on_click="ignore", key=f"save-{name}", icon=":material/download:")


def _truth_upload(desk: Desk, settings: Settings, case: Case) -> None:
    with st.expander("Compare with ground truth"):
        files = st.file_uploader(
            "A mask of the same size: one stack, or a file for each slice",
            accept_multiple_files=True,
            key=f"truth-{case.key}",
            on_change=_truth_changed,
            args=(case.key,),
        )
        # Not by the files: Streamlit empties an uploader that was not drawn, as while another case was looked at.
        if not st.session_state.pop(f"truth-changed-{case.key}", False):
            if files and (problem := st.session_state.get(f"truth-problem-{case.key}")):
                st.error(problem)
            if not files and case.key in desk.truths:
                st.caption("The mask that was added before is still compared with.")
                st.button("Remove this mask", on_click=_truth_changed, args=(case.key,), type="tertiary")
            return
        hold(f"truth-{case.key}", files)
        st.session_state.pop(f"truth-problem-{case.key}", None)
        desk.truths.pop(case.key, None)
        if files:
            try:
                raw = [RawFile(file.name, file.getvalue()) for file in files]
                desk.truths[case.key] = read_truth(raw, case.scan, settings.limits)
            except InputError as error:
                st.session_state[f"truth-problem-{case.key}"] = sentence(error.detail)
    st.rerun(scope="app")


def _truth_changed(case: str) -> None:
    st.session_state[f"truth-changed-{case}"] = True
