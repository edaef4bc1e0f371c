"""All cases at a glance: a table whose rows open a case, and everything to take away."""

from __future__ import annotations

from typing import Any

import streamlit as st

from web_streamlit.desk import Desk
from web_streamlit.downloads import batch_csv, zip_file
from web_streamlit.preset import preset

COLUMNS = {
    "case": "Case", "model": "Model", "slices": "Slices", "lesions": "Lesions", "voxels": "Voxels",
    "area_mm2": "Area, mm²", "volume_ml": "Volume, ml", "dice": "Dice", "agreement": "Agreement", "seconds": "Seconds",
    "problem": "Problem", "warnings": "Warnings",
}  # fmt: skip
ALWAYS = {"case", "model", "slices", "lesions", "voxels"}


def show_batch(desk: Desk) -> None:
    """The table of cases, and which of them is looked at; nothing where there is only one."""
    cases = desk.reading.cases
    if len(cases) < 2:
        return
    rows = desk.rows() if desk.results() or desk.failed else []
    if rows:
        st.header("Results", anchor=False)
        st.dataframe(
            [_shown(row, rows) for row in rows],
            hide_index=True,
            on_select=lambda: _open(desk),
            selection_mode="single-cell",
            key="batch",
            placeholder="–",
            height=36 * (min(len(rows), 9) + 1),
        )
        _notes_and_downloads(desk, rows)
    names = {case.key: case.scan.name for case in cases}
    preset("case", (desk.case or cases[0]).key)

    def chosen() -> None:
        desk.case_key = st.session_state["case"]

    st.selectbox("Case", list(names), format_func=names.__getitem__, key="case", on_change=chosen)


def _notes_and_downloads(desk: Desk, rows: list[dict[str, Any]]) -> None:
    used = {card.name: desk.threshold(card) for _, card in desk.results()}
    told = ", ".join(f"{name} at {threshold:.2f}" for name, threshold in used.items())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Table, CSV", batch_csv(rows), "metseg-cases.csv", "text/csv", on_click="ignore", key="save-csv"
        )
        if desk.results():
            st.download_button(
                "All cases, zipped",
                lambda: zip_file([desk.result(case, card) for case, card in desk.results()], desk.rows()),
                "metseg-results.zip",
                "application/zip",
                on_click="ignore",
                key="save-all",
            )
        if not desk.table_follows:
            st.button("Update", key="update", help="After moving a threshold below", icon=":material/refresh:")
        st.caption(f"Thresholds: {told}." if told else "")


def _open(desk: Desk) -> None:
    cells = st.session_state["batch"].selection.cells
    shown = [case for case, _ in desk.results()]
    if cells and cells[0][0] < len(shown):
        desk.case_key = shown[cells[0][0]].key


def _shown(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A row for the screen; columns that are empty everywhere are left out."""
    wanted = [name for name in COLUMNS if name in ALWAYS or any(each.get(name) is not None for each in rows)]
    values = {name: row.get(name) for name in wanted}
    return {COLUMNS[name]: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}
