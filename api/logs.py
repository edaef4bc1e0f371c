"""Where the server's log goes: one line a request, to stderr, without anything that a client chose."""

from __future__ import annotations

import logging


def configure_logs() -> None:
    """Give metseg's own log lines a way out, and keep uvicorn's, which quote addresses as they were asked for, back."""
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it quotes bytes of broken bodies
    own = logging.getLogger("metseg")
    if not own.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        own.addHandler(handler)
        own.setLevel(logging.INFO)
        own.propagate = False
