"""What a page that was killed left behind does not outlive the next start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell whether a folder is still somebody's")
def test_what_a_killed_page_left_is_gone_when_the_next_one_is_open(
    open_page: Callable[..., Any], scans: dict[str, Path]
) -> None:
    killed = open_page()
    client = Client(killed.url, verbose=False)
    client.predict(handle_file(str(scans["slice.tif"])), api_name="/segment")
    killed.running.process.kill()
    killed.running.process.wait()
    client.close()
    left = [path for path in killed.place.rglob("*") if path.name == "slice.tif"]
    assert left != []
    page = open_page(environment={"TMPDIR": str(killed.place)})
    assert not any(path.exists() for path in left)
    assert len(list(killed.place.iterdir())) == 1  # the new page's own
    assert page.running.stop() == 0
    assert list(killed.place.iterdir()) == []
