"""Frees what Streamlit keeps of uploads, which otherwise stays in memory until the session ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.io import RawFile


def hold(place: str, files: Iterable[UploadedFile] = ()) -> None:
    """Keep these files of a place, and free those that it held before.

    Which they were is noted here, for an uploader that was not drawn meanwhile has forgotten its files.

    Args:
        place: what the files are for.
        files: that stay.
    """
    context = get_script_run_ctx()
    if context is None or not isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        return
    places: dict[str, list[str]] = st.session_state.setdefault("held", {})
    kept = [file.file_id for file in files]
    for file_id in set(places.pop(place, ())) - set(kept):
        context.uploaded_file_mgr.remove_file(session_id=context.session_id, file_id=file_id)
    if kept:
        places[place] = kept


def held(place: str) -> list[RawFile]:
    """The files that a place holds, also where its uploader has forgotten them."""
    context = get_script_run_ctx()
    if context is None:
        return []
    ids = st.session_state.get("held", {}).get(place, [])
    files = context.uploaded_file_mgr.get_files(context.session_id, ids)
    return [RawFile(file.name, file.data) for file in files]


def keep_only(places: Collection[str]) -> None:
    """Free the files of all other places."""
    for place in [*st.session_state.get("held", {})]:
        if place not in places:
            hold(place)
