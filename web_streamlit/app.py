"""The page, from top to bottom: `streamlit run web_streamlit/app.py`, or `metseg web`, which starts the server too."""

from __future__ import annotations

import os
from html import escape

import streamlit as st

from core.errors import UsageError
from core.io import encode_png
from core.system import RESEARCH_ONLY
from web_streamlit.asking import ask, connect, show_run
from web_streamlit.batch_table import show_batch
from web_streamlit.desk import Desk
from web_streamlit.intake import choose_scans, plain, show_reading
from web_streamlit.pictures import icon
from web_streamlit.settings import Settings, load_settings
from web_streamlit.style import STYLE
from web_streamlit.viewer import look


def main() -> None:
    """Draw the page once; Streamlit calls it anew for whatever the user does."""
    st.set_page_config("metseg", encode_png(icon()), layout="wide")
    st.html(
        STYLE + '<h1>metseg <span class="badge">Research use only</span></h1>'
        '<p class="lead">Finds lesions in brain MRI, and shows where.</p>'
    )
    try:
        settings = load_settings(os.environ)
    except UsageError as error:
        st.error(f"{error}.")
        return
    desk: Desk = st.session_state.setdefault("desk", Desk())
    desk.collect()
    desk.moved = False
    scans, model = st.columns(2, gap="large")
    with scans:
        st.header("Scans", anchor=False)
        choose_scans(desk, settings)
    with model:
        st.header("Model", anchor=False)
        connect(desk, settings)
        ask(desk, settings)
    with scans:
        show_reading(desk)
    show_run(desk, settings)
    case = desk.case
    if case is not None:
        show_batch(desk)
        case = desk.case or case
        st.divider()
        st.header(plain(case.scan.name), anchor=False)
        look(desk, settings, case)
    _foot(settings, desk)


def _foot(settings: Settings, desk: Desk) -> None:
    where = "stay on this machine" if settings.is_local else f"are sent to the server at {settings.host}"
    said = RESEARCH_ONLY.partition(":")[0]
    limits = "".join(
        f" {limit.rstrip('.')}." for card in desk.models[:1] for limit in card.limits if not limit.startswith(said)
    )
    st.divider()
    st.html(
        '<p class="foot">'
        f"<b>{RESEARCH_ONLY}</b>{escape(limits, quote=False)}<br>"
        f"Your files {where}: in the memory of this page, for a moment in a private temporary folder while they are "
        # Streamlit may hold the session of a closed page until another one is opened and closed.
        "read, and with the server while it computes. This page forgets them when you remove them; from memory they "
        "are gone for certain when metseg is ended, not yet when the page is closed. Nothing else is kept, and nothing "
        "is sent anywhere else.</p>"
    )


main()
