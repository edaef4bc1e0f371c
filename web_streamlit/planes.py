"""A volume in three directions at a time: each slider moves one picture, and its line in the two others."""

from __future__ import annotations

import streamlit as st

from core.views import View
from web_streamlit.cases import Case
from web_streamlit.desk import Desk
from web_streamlit.downloads import Result
from web_streamlit.findings import Images
from web_streamlit.pictures import Frame, grey_png, overlay_png
from web_streamlit.preset import preset

Place = tuple[int, int, int]


def show_planes(desk: Desk, case: Case, images: Images, result: Result | None, views: tuple[View, ...]) -> None:
    """Draw all views through one point; the first view's slice is that of the slice slider."""
    columns = st.columns(len(views))
    for number, (view, column) in enumerate(zip(views, columns, strict=True)):
        with column:
            stored = views[0].stored(point_of(desk, case, views[0]))
            name = (view.name or f"Direction {number + 1}").capitalize()
            key = f"plane-{number}-{case.key}"
            preset(key, view.place(stored)[0] + 1)
            st.slider(name, 1, view.shape[0], key=key, on_change=_move, args=(desk, case, views[0], view, key))
            st.image(_picture(desk, images, result, view, view.place(stored)), width="stretch", alt=name)


def point_of(desk: Desk, case: Case, view: View) -> Place:
    """The point through which everything is cut, in the first view: the middle where none was chosen."""
    slices, height, width = view.shape
    row, column = desk.crosses.get(case.key, (height // 2, width // 2))
    return min(desk.slices.get(case.key, slices // 2), slices - 1), row, column


def _move(desk: Desk, case: Case, first: View, view: View, key: str) -> None:
    _, row, column = view.place(first.stored(point_of(desk, case, first)))
    index, *cross = first.place(view.stored((st.session_state[key] - 1, row, column)))
    desk.slices[case.key], desk.crosses[case.key] = index, (cross[0], cross[1])


def _picture(desk: Desk, images: Images, result: Result | None, view: View, place: Place) -> bytes:
    index, row, column = place
    _, height, width = view.shape
    frame = Frame(view.aspect, view.letters, ((row + 0.5) / height, (column + 0.5) / width))
    grey = view.cut(images.grey, index)
    if result is None:
        return grey_png(grey, frame)
    truth = None if result.truth is None else view.cut(result.truth, index)
    return overlay_png(grey, view.cut(result.finding.mask, index), truth, desk.opacity, desk.outline, frame)
