"""The page on a loopback port, and what to send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.io import encode_png, encode_tiff
from core.phantom import make_phantom

gradio_client = pytest.importorskip("gradio_client", reason="the extra [web] is not installed: pip install '.[web]'")


@dataclass
class Page:
    """A page that answers: where, its process, and the folder for its temporary files."""

    url: str
    port: int
    running: Any
    place: Path


@pytest.fixture(scope="session")
def open_page(
    start_metseg: Callable[..., Any],
    free_port: Callable[[], int],
    tiny_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Page]:
    """`open_page(**settings)`: the page with both tiny models, in a process of its own."""
    models = tuple(str(folder) for folder in tiny_models.values())

    def start(environment: dict[str, str] | None = None, **given: Any) -> Page:
        port, place = free_port(), tmp_path_factory.mktemp("page")
        settings = {"models": models, "device": "cpu", "precision": "fp32", "port": port} | given
        program = f"from web_gradio import serve, settings\nserve.serve(settings.Settings(**{settings!r}), print)"
        running = start_metseg("-c", program, **{"TMPDIR": str(place), **(environment or {})})
        running.wait_for("The page is at")
        return Page(f"http://127.0.0.1:{port}/", port, running, place)

    return start


@pytest.fixture(scope="session")
def page(open_page: Callable[..., Page]) -> Iterator[Page]:
    """One page for all tests that leave it as it was."""
    opened = open_page(upload_bytes=4 << 20, files=3)
    yield opened
    assert opened.running.stop() == 0
    assert opened.running.reached_outside() == []
    assert list(opened.place.iterdir()) == []


@pytest.fixture(scope="session")
def client(page: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What programs use to call the page."""
    connected = gradio_client.Client(page.url, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))
    yield connected
    connected.close()


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A slice and a stack as TIFF, a slice as PNG, and a file that is none."""
    folder = tmp_path_factory.mktemp("scans")
    stack = make_phantom(7, 3, 64)[0].voxels[:, 0]
    contents = {
        "slice.tif": encode_tiff(stack[:1]),
        "stack.tif": encode_tiff(stack),
        "picture.png": encode_png(np.ascontiguousarray(stack[1])),
        "broken.tif": b"II*\0\xff\xff\xff\xff",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}
