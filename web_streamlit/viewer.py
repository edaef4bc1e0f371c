"""The third step of the page: looking at a case. All of it is redrawn from what is already here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.errors import ChannelNeeded, InputError
from core.measure.dice import EMPTY_RULE
from core.model_card import ModelCard, PreprocessSettings
from core.scan import Lesion
from web_streamlit.asking import chosen_channel
from web_streamlit.cases import Case, RawFile, read_truth
from web_streamlit.desk import Desk
from web_streamlit.downloads import Result, batch_row, mask_files, overlay_file, record_file, zip_file
from web_streamlit.findings import Images, overlap
from web_streamlit.pictures import grey_png, overlay_png, probability_png
from web_streamlit.settings import Settings

ORIGINAL, CLAHE, OVERLAY, PROBABILITY, AGREEMENT = "Original", "CLAHE", "Overlay", "Probability", "Agreement"
AMBER, BLUE = "#ffb000", "#4cc2ff"


@st.fragment
def look(desk: Desk, settings: Settings, case: Case) -> None:
    """Show a case: before anything ran its slices, afterwards what was found in them."""
    cards = desk.cards_of(case)
    if not cards:
        _before(desk, case)
        return
    card = _model_shown(cards, case)
    pictures, controls = st.columns([5, 3], gap="large")
    with controls:
        _knobs(desk, card)
        result = desk.result(case, card)
        index = _slice_now(desk, case)
        _numbers(result, index)
        _lesion_table(desk, result)
    with pictures:
        views = _views(bool(result.other), found=True)
        index = _slice_slider(desk, case)
        _draw(_pictures(desk, result, cards, views, index))
        _legend(result, views)
    for note in result.warnings:
        st.caption(f":material/info: {note.message}")
    _downloads(result)
    _truth_upload(desk, settings, case)


def _before(desk: Desk, case: Case) -> None:
    preprocessing = desk.models[0].preprocessing if desk.models else PreprocessSettings()
    try:
        images = desk.images(case, preprocessing, chosen_channel())
    except InputError as error:
        where = " (above, under Options)." if isinstance(error, ChannelNeeded) else "."
        st.info(error.detail[:1].upper() + error.detail[1:] + where)
        return
    views = _views(False, found=False)
    index = _slice_slider(desk, case)
    _draw([(view, _plain_picture(images, view, index)) for view in views])
    for note in images.notes:
        st.caption(f":material/info: {note.message}")


def _model_shown(cards: tuple[ModelCard, ...], case: Case) -> ModelCard:
    if len(cards) == 1:
        return cards[0]
    names = [card.name for card in cards]
    name = st.segmented_control("Model shown", names, default=names[0], required=True, key=f"shown-{case.key}")
    return cards[names.index(name or names[0])]


def _views(compared: bool, found: bool) -> list[str]:
    options = [OVERLAY, ORIGINAL, CLAHE, PROBABILITY] if found else [ORIGINAL, CLAHE]
    options += [AGREEMENT] * compared
    default = [OVERLAY] if compared else options[:2]
    chosen = st.pills("View", options, selection_mode="multi", default=default, key=f"views-{found}-{compared}")
    return [view for view in options if view in chosen] or options[:1]


def _slice_now(desk: Desk, case: Case) -> int:
    return min(desk.slices.get(case.key, case.scan.shape[0] // 2), case.scan.shape[0] - 1)


def _slice_slider(desk: Desk, case: Case) -> int:
    slices, key = case.scan.shape[0], f"slice-{case.key}"
    if slices == 1:
        return 0
    st.session_state[key] = _slice_now(desk, case) + 1

    def moved() -> None:
        desk.slices[case.key] = st.session_state[key] - 1

    return int(st.slider("Slice", 1, slices, key=key, on_change=moved)) - 1


def _knobs(desk: Desk, card: ModelCard) -> None:
    key = f"threshold-{card.name}"
    st.session_state[key] = desk.threshold(card)

    def moved() -> None:
        desk.thresholds[card.name] = st.session_state[key]

    help_text = "From this probability on, a voxel is lesion."
    st.slider("Threshold", 0.01, 0.99, step=0.01, key=key, on_change=moved, help=help_text)
    left, right = st.columns(2, vertical_alignment="bottom")
    left.slider("Opacity", 0.0, 1.0, step=0.05, key="opacity", on_change=_bound(desk, "opacity"))
    right.toggle("Outline", key="outline", on_change=_bound(desk, "outline"))
    changed = _bound(desk, "min_lesion")
    st.number_input("Smallest lesion, in voxels", 0, 10_000, key="min_lesion", on_change=changed)


def _bound(desk: Desk, name: str) -> Callable[[], None]:
    """Makes a widget whose key is an attribute's name show that attribute, and gives what takes a change over."""
    st.session_state[name] = getattr(desk, name)
    return lambda: setattr(desk, name, st.session_state[name])


def _numbers(result: Result, index: int) -> None:
    scan, finding = result.case.scan, result.finding
    numbers = {"Lesions": str(len(finding.lesions)), "Size": _size(result)}
    if result.truth is not None:
        numbers["Dice"] = f"{result.dice:.3f}"
    if result.other is not None:
        numbers["Agreement"] = f"{result.agreement:.3f}"
    with st.container(horizontal=True, gap="medium"):
        for label, value in numbers.items():
            st.metric(label, value, width="content")
    here = []
    if result.truth is not None:
        here.append(f"Dice with the truth {overlap(finding.mask, result.truth, index)[1]:.3f}")
    if result.other is not None:
        here.append(f"agreement with {result.other[0]} {overlap(finding.mask, result.other[1], index)[1]:.3f}")
    if here:
        where = f"In slice {index + 1}: " if scan.shape[0] > 1 else ""
        agreement = " Agreement is the Dice between the two models' masks." if result.other is not None else ""
        st.caption(f"{where}{'; '.join(here)}. {EMPTY_RULE}{agreement}")


def _size(result: Result) -> str:
    row = batch_row(result)
    if row["volume_ml"] is not None:
        return f"{row['volume_ml']:.3g} ml"
    return f"{row['area_mm2']:.4g} mm²" if row["area_mm2"] is not None else f"{row['voxels']:,} px"


def _lesion_table(desk: Desk, result: Result) -> None:
    lesions, case = result.finding.lesions, result.case
    if not lesions:
        st.caption("Nothing reaches this threshold.")
        return
    key = f"lesions-{case.key}-{result.found.task.card.name}"

    def jump() -> None:
        cells = st.session_state[key].selection.cells
        if cells and cells[0][0] < len(lesions):
            desk.slices[case.key] = middle_slice(result, lesions[cells[0][0]])

    st.caption("Lesions, the largest first; a click jumps to its slice.")
    st.dataframe(
        [_lesion_row(lesion) for lesion in lesions],
        hide_index=True,
        on_select=jump,
        selection_mode="single-cell",
        key=key,
        height=36 * (min(len(lesions), 7) + 1),
        column_config={"Peak": st.column_config.NumberColumn(format="%.2f", help="The highest probability in it.")},
    )


def middle_slice(result: Result, lesion: Lesion) -> int:
    """The slice in which a lesion is largest."""
    (first, last), rows, columns = lesion.box
    part = result.finding.mask[first : last + 1, rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
    return first + int(part.sum(axis=(1, 2)).argmax())


def _lesion_row(lesion: Lesion) -> dict[str, Any]:
    first, last = (index + 1 for index in lesion.slices)
    row: dict[str, Any] = {"#": lesion.label, "Slices": str(first) if first == last else f"{first}–{last}"}
    if lesion.longest_diameter_mm is not None:
        row["Diameter, mm"] = round(lesion.longest_diameter_mm, 1)
    else:
        row["Diameter, px"] = round(lesion.longest_diameter_px, 1)
    if lesion.volume_ml is not None:
        row["Volume, ml"] = round(lesion.volume_ml, 2)
    else:
        row["Voxels"] = lesion.voxels
    row["Peak"] = lesion.peak_probability
    return row


def _plain_picture(images: Images, view: str, index: int) -> bytes:
    return grey_png(images.equalised(index) if view == CLAHE else images.grey[index])


def _pictures(
    desk: Desk, result: Result, cards: tuple[ModelCard, ...], views: list[str], index: int
) -> list[tuple[str, bytes]]:
    """Label and PNG of what is to be seen of a slice."""
    grey, finding = result.images.grey[index], result.finding
    truth = None if result.truth is None else result.truth[index]
    drawn: list[tuple[str, bytes]] = []
    for view in views:
        if view == OVERLAY:
            for card in cards:
                mask = desk.finding(desk.found[result.case.key, card.name]).mask[index]
                label = f"{view}: {card.name}" if len(cards) > 1 else view
                drawn.append((label, overlay_png(grey, mask, truth, desk.opacity, desk.outline)))
        elif view == PROBABILITY:
            drawn.append((view, probability_png(finding.probability[index], finding.mask[index], desk.outline)))
        elif view == AGREEMENT and result.other is not None:
            label = f"{result.found.task.card.name} filled, {result.other[0]} outlined"
            picture = overlay_png(grey, finding.mask[index], result.other[1][index], desk.opacity, desk.outline)
            drawn.append((label, picture))
        else:
            drawn.append((view, _plain_picture(result.images, view, index)))
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
    masks = mask_files(result)
    rows = [batch_row(result)]
    with st.container(horizontal=True):
        if len(masks) == 1:
            name, content = next(iter(masks.items()))
            _save("Mask", content, name)
        _save("Overlay", lambda: overlay_file(result), f"{result.name}_overlay.png")
        _save("JSON", record_file(result), f"{result.name}.json")
        label = "All, zipped" if len(masks) == 1 else f"{len(masks)} masks and all else, zipped"
        _save(label, lambda: zip_file([result], rows), f"{result.name}.zip")


def _save(label: str, content: bytes | Callable[[], bytes], name: str) -> None:
    st.download_button(label, content, name, on_click="ignore", key=f"save-{name}", icon=":material/download:")


def _truth_upload(desk: Desk, settings: Settings, case: Case) -> None:
    with st.expander("Compare with ground truth"):
        files = st.file_uploader(
            "A mask of the same size: one stack, or a file for each slice",
            accept_multiple_files=True,
            key=f"truth-{case.key}",
        )
        seen = st.session_state.setdefault("truth-seen", {})
        names = tuple(file.file_id for file in files)
        if seen.get(case.key, ()) == names:
            if problem := st.session_state.get(f"truth-problem-{case.key}"):
                st.error(problem)
            return
        seen[case.key] = names
        st.session_state.pop(f"truth-problem-{case.key}", None)
        desk.truths.pop(case.key, None)
        if files:
            try:
                raw = [RawFile(file.name, file.getvalue()) for file in files]
                desk.truths[case.key] = read_truth(raw, case.scan.shape, settings.limits)
            except InputError as error:
                st.session_state[f"truth-problem-{case.key}"] = error.detail[:1].upper() + error.detail[1:] + "."
    st.rerun(scope="app")
