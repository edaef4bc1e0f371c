"""A real API on a loopback port, a page driven without a browser, and files to upload."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest

from api.serve import make_server
from api.settings import Settings as ApiSettings
from web_streamlit.settings import Settings

APP = Path(__file__).parents[2] / "web_streamlit" / "app.py"
PATIENCE = 60.0


@contextmanager
def api(models: list[Path], port: int = 0, **settings: Any) -> Iterator[str]:
    """The address of a server that is ready; the first model is its default."""
    server = make_server(ApiSettings(model=str(models[0]), models=tuple(models[1:]), **settings), port=port)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + PATIENCE
        url = ""
        while not url or httpx.get(f"{url}/health/ready", trust_env=False).status_code != 200:
            assert thread.is_alive()
            assert time.monotonic() < until
            if server.started:
                url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            time.sleep(0.02)
        yield url
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def api_url(tiny_models: dict[str, Path]) -> Iterator[str]:
    """One server with both tiny models for all tests that leave it as it is."""
    with api([*tiny_models.values()]) as url:
        yield url


@pytest.fixture
def settings(api_url: str) -> Settings:
    return Settings(api_url, patience_seconds=0.0)


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AppTest]:
    """Opens the page for a server's address, as a browser would: `open_page(url)`."""

    def open_at(url: str, patience: float = 0.0) -> AppTest:
        monkeypatch.setenv("METSEG_API_URL", url)
        monkeypatch.setenv("METSEG_WEB_PATIENCE", str(patience))
        monkeypatch.delenv("METSEG_API_KEY", raising=False)
        return AppTest.from_file(str(APP), default_timeout=PATIENCE).run()

    return open_at


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    """Streamlit's own store of uploads; one for all of a page's runs, as a server has it."""
    manager = MemoryUploadedFileManager("/upload")
    monkeypatch.setattr("streamlit.testing.v1.local_script_runner.MemoryUploadedFileManager", lambda _: manager)
    return manager


def noise(*shape: int, seed: int = 0, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **{"photometric": "minisblack", "metadata": None, **options})
    return buffer.getvalue()


def tiff_of(content: bytes) -> np.ndarray:
    """(slices, height, width)"""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return np.stack([page.asarray() for page in file.pages])


def upload(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return page.file_uploader[0].set_value([(name, content, "image/tiff") for name, content in files]).run()


def desk_of(page: AppTest) -> Any:
    return page.session_state["desk"]


def press(page: AppTest, key: str) -> AppTest:
    return page.button(key=key).click().run()


def find_lesions(page: AppTest) -> AppTest:
    """Start, wait for the end, and draw what came of it."""
    press(page, "go")
    run = desk_of(page).run
    assert run is None or run.wait(PATIENCE)
    page.run()
    assert desk_of(page).run is None
    return page


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """Helpers that test modules share."""
    return SimpleNamespace(
        api=api, noise=noise, tiff=tiff, tiff_of=tiff_of, upload=upload, desk_of=desk_of,
        press=press, find_lesions=find_lesions,
    )  # fmt: skip
