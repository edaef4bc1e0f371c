"""What a widget shows, where the page's state decides it."""

from __future__ import annotations

from typing import Any

import streamlit as st


def preset(key: str, value: Any) -> None:
    """Let the widget of this key show a value.

    What it shows already is not set again: that would overwrite whatever was typed while the page was on its way.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
