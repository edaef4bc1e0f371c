"""Errors on their way to a visitor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from web_gradio.findings import report_unforeseen, sentence_of


@contextmanager
def plainly() -> Iterator[None]:
    """Turn what goes wrong into a sentence on the page, without path or traceback."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        report_unforeseen(error)
        raise gr.Error(sentence_of(error), print_exception=False) from None
