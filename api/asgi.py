"""For uvicorn and its like: `uvicorn api.asgi:app`. Reads the settings when it is imported."""

from __future__ import annotations

from api.app import create_app
from api.logs import configure_logs
from api.settings import load_settings
from core.errors import MetsegError

configure_logs()
try:
    app = create_app(load_settings())
except MetsegError as error:
    raise SystemExit(f"metseg: {error}") from None
