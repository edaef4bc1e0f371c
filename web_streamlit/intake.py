"""The first step of the page: choosing scans, and what was read of them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.io import RawFile
from core.scan import Scan
from web_streamlit.cases import BUNDLED, Case, Reading, bundled_case, read_uploads
from web_streamlit.desk import Desk
from web_streamlit.preset import preset
from web_streamlit.settings import Settings
from web_streamlit.uploads import held, hold, keep_only

FILES, FOLDER, BUNDLE = "Files", "Folder", "Example"
VOLUMES = ("NIfTI", "DICOM")


def choose_scans(desk: Desk, settings: Settings) -> None:
    """Let the user upload files or a folder, or take an example; read them at once."""
    source = st.segmented_control(
        "Where from", (FILES, FOLDER, BUNDLE), default=FILES, required=True, key="source", label_visibility="collapsed"
    )
    desk.source = source or FILES
    if desk.source == BUNDLE:
        name = st.pills("Synthetic heads, not of a person, with known lesions", list(BUNDLED), key="bundled")
        if name is not None and st.session_state.get("bundled-read") != name:
            with st.spinner("Making the example …"):
                desk.put_reading(BUNDLE, Reading((_bundled(BUNDLED[name]),)))
            st.session_state["bundled-read"] = name
        return
    folder = desk.source == FOLDER
    # The number in the key makes an empty uploader of a full one.
    key = f"upload-{desk.source}-{st.session_state.get('emptied', 0)}"
    files = st.file_uploader(
        "A folder of scans" if folder else "Slices, stacks, volumes, and masks if there are any (NAME_mask)",
        accept_multiple_files="directory" if folder else True,
        key=key,
        on_change=_changed,
        args=(desk.source,),
        help="TIFF, PNG, JPEG, NIfTI, DICOM, or a zip of DICOM, told by content. Slices named CASE_1, CASE_2, … become "
        "one case.",
    )
    changed = st.session_state.pop(f"changed-{desk.source}", False)
    chosen = st.session_state.pop(f"chosen-{desk.source}", False)
    if changed or chosen:
        raw = [RawFile(file.name, file.getvalue()) for file in files or ()]
        if not changed:  # Streamlit empties an uploader that was not drawn, as while another source was looked at
            raw = raw or held(desk.source)
        with st.spinner("Reading …"):
            desk.put_reading(desk.source, read_uploads(raw, settings, desk.series) if raw else Reading())
    if changed:
        hold(desk.source, files or ())
        _free_others(desk)
    _choose_series(desk)


def _choose_series(desk: Desk) -> None:
    """Where something holds several series, let the user say which is meant; also afterwards."""
    marks = desk.reading.marks
    desk.choices.update((marks[several.name], several.choices) for several in desk.reading.several)
    for name, mark in sorted(marks.items()):
        if mark not in desk.choices:
            continue
        told = {choice.key: choice.description for choice in desk.choices[mark]}
        key = f"series-{desk.source}-{mark}"
        preset(key, desk.series.get(mark))
        st.selectbox(
            f"{plain(name)} holds {len(told)} series; which one?",
            list(told),
            format_func=told.__getitem__,
            key=key,
            placeholder="Choose one",
            on_change=_series_chosen,
            args=(desk, mark, key),
        )


def _series_chosen(desk: Desk, mark: str, key: str) -> None:
    if st.session_state[key] is not None:
        desk.series[mark] = st.session_state[key]
        st.session_state[f"chosen-{desk.source}"] = True


def show_reading(desk: Desk) -> None:
    """Say what was read, before anything runs."""
    reading = desk.reading
    if len(reading.cases) == 1:
        st.markdown(f"**{plain(reading.cases[0].scan.name)}** — {describe(reading.cases[0])}")
    elif reading.cases:
        slices = sum(case.scan.shape[0] for case in reading.cases)
        st.markdown(f"**{len(reading.cases)} cases**, {slices} slices")
        rows = [_row(case) for case in reading.cases]
        shown = [name for name in rows[0] if any(row[name] for row in rows)]
        st.dataframe(rows, hide_index=True, column_order=shown, height=_height(len(rows)))
    for note in reading.notes:
        st.caption(plain(note))
    if reading.refused:
        lines = [f"- **{plain(refused.name)}**: {plain(refused.sentence)}" for refused in reading.refused]
        st.warning("\n".join(["Could not be read, and is left out:\n", *lines]))
    if (reading.cases or reading.refused or reading.several) and desk.source != BUNDLE:
        st.button("Remove these files", on_click=_remove, args=(desk,), type="tertiary", icon=":material/delete:")


def describe(case: Case) -> str:
    """A case in half a line."""
    scan = case.scan
    slices, height, width = scan.shape
    parts = [f"{slices} slice{'s' * (slices > 1)} of {width} × {height}", _values(scan), _spacing(scan)]
    parts += [scan.sequence] if scan.sequence else []
    parts += [] if scan.orientation_known or scan.format not in VOLUMES else ["orientation unknown"]
    parts.append("with ground truth" if case.truth is not None else "no ground truth")
    return ", ".join(parts)


def _row(case: Case) -> dict[str, Any]:
    slices, height, width = case.scan.shape
    return {
        "Case": case.scan.name,
        "Slices": slices,
        "Size": f"{width} × {height}",
        "Values": _values(case.scan),
        "Spacing": _spacing(case.scan),
        "Truth": "yes" if case.truth is not None else "—",
        "Notes": "; ".join(note.message.rstrip(".") for note in case.scan.notes),
    }


def _values(scan: Scan) -> str:
    kinds = {"u": "bit", "i": "bit signed", "f": "bit float", "b": "bit"}
    channels = scan.voxels.shape[1]
    bits = f"{scan.voxels.dtype.itemsize * 8}-{kinds.get(scan.voxels.dtype.kind, 'bit')}"
    return f"{bits}, {channels} channel{'s' * (channels > 1)}"


def _spacing(scan: Scan) -> str:
    between, row, column = scan.spacing_mm
    if row is None or column is None:
        return "spacing unknown"
    return f"{row:.3g} × {column:.3g}" + (f" × {between:.3g} mm" if between is not None else " mm per pixel")


def _height(rows: int) -> int:
    return 36 * (min(rows, 6) + 1)


def plain(text: str) -> str:
    """Text that Markdown shall show as it is."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>()#+!|~$:" else letter for letter in text)


def _changed(source: str) -> None:
    st.session_state[f"changed-{source}"] = True


def _remove(desk: Desk) -> None:
    desk.put_reading(desk.source, Reading())
    st.session_state["emptied"] = st.session_state.get("emptied", 0) + 1
    hold(desk.source)
    _free_others(desk)


def _free_others(desk: Desk) -> None:
    """Free masks that were added to cases that are gone."""
    truths = {f"truth-{case.key}" for reading in desk.readings.values() for case in reading.cases}
    keep_only({FILES, FOLDER} | truths)


@st.cache_resource(show_spinner=False, max_entries=4)
def _bundled(seed: int) -> Case:
    return bundled_case(seed)
