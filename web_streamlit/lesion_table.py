"""The lesions of a case as a table; a click leads to one."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.measure.totals import size_of
from core.scan import Lesion
from core.views import View
from web_streamlit.desk import Desk
from web_streamlit.downloads import Result


def show_lesions(desk: Desk, result: Result, view: View) -> None:
    """The table, for the view that the model sees."""
    lesions, case = result.finding.lesions, result.case
    if not lesions:
        st.caption("Nothing reaches this threshold.")
        return
    key = f"lesions-{case.key}-{result.found.task.card.name}"

    def jump() -> None:
        cells = st.session_state[key].selection.cells
        if cells and cells[0][0] < len(lesions):
            index, row, column = middle_of(result, lesions[cells[0][0]], view)
            desk.slices[case.key], desk.crosses[case.key] = index, (row, column)

    st.caption("Lesions, the largest first; a click jumps to its slice.")
    st.dataframe(
        [_row(lesion, view) for lesion in lesions],
        hide_index=True,
        on_select=jump,
        selection_mode="single-cell",
        key=key,
        height=36 * (min(len(lesions), 7) + 1),
        column_config={"Peak": st.column_config.NumberColumn(format="%.2f", help="The highest probability in it.")},
    )


def middle_of(result: Result, lesion: Lesion, view: View) -> tuple[int, int, int]:
    """The slice in which a lesion is largest, and row and column of its middle there."""
    box = view.box(lesion.box)
    (first, last), rows, columns = box
    part = view.turn(result.finding.mask)[first : last + 1, rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
    index = int(part.sum(axis=(1, 2)).argmax())
    row, column = (round(float(places.mean())) for places in np.nonzero(part[index]))
    return first + index, rows[0] + row, columns[0] + column


def _row(lesion: Lesion, view: View) -> dict[str, Any]:
    first, last = (index + 1 for index in view.box(lesion.box)[0])
    row: dict[str, Any] = {"#": lesion.label, "Slices": str(first) if first == last else f"{first}–{last}"}
    if lesion.longest_diameter_mm is not None:
        row["Diameter, mm"] = round(lesion.longest_diameter_mm, 1)
    else:
        row["Diameter, px"] = round(lesion.longest_diameter_px, 1)
    size, unit = size_of(lesion.voxels, lesion.area_mm2, lesion.volume_ml, view.shape[0] == 1)
    heading = {"ml": "Volume, ml", "mm²": "Area, mm²", "px": "Pixels", "voxels": "Voxels"}[unit]
    row[heading] = round(size, 3 if size < 0.01 else 2) if unit == "ml" else round(size)
    row["Peak"] = lesion.peak_probability
    return row
