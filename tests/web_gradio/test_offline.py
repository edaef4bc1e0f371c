"""The page speaks with this machine alone, and tells nobody anything."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import metseg
from web_gradio.offline import seal_environment


@pytest.fixture(scope="module")
def http(page: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, trust_env=False, timeout=60) as client:
        yield client


def test_the_page_names_no_address_that_a_browser_would_fetch(http: httpx.Client) -> None:
    answer = http.get("/")
    assert answer.status_code == 200
    fetched = re.findall(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?(https?:)?//""", answer.text)
    assert fetched == []
    assert "'self'" in answer.headers["content-security-policy"]
    assert "http" not in answer.headers["content-security-policy"]
    assert "fonts.g" not in http.get("/theme.css").text


def test_nothing_records_who_came_and_what_they_did(http: httpx.Client) -> None:
    config = http.get("/config").json()
    assert config["analytics_enabled"] is False
    assert not config.get("run_history", False)
    assert http.get("/monitoring").status_code in (403, 404)
    assert http.get("/monitoring/summary").status_code in (403, 404)
    assert http.get("/gradio_api/runs").status_code in (403, 404)
    assert http.post("/gradio_api/run-history/connect", json={}).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_a_page_of_another_name_cannot_pose_as_this_one(http: httpx.Client, host: str) -> None:
    assert http.get("/config", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("path", ["file=http://192.0.2.1/a.png", "file=https://192.0.2.1/a", "proxy=http://192.0.2.1/"])
def test_the_page_fetches_nothing_for_visitors(http: httpx.Client, path: str) -> None:
    assert http.get(f"/gradio_api/{path}").status_code == 404


def test_files_of_the_machine_are_not_handed_out(http: httpx.Client, scans: dict[str, Path]) -> None:
    for path in (scans["slice.tif"], Path(sys.executable)):
        assert http.get(f"/gradio_api/file={path}").status_code == 403


def test_an_upload_beyond_the_limit_is_refused(http: httpx.Client) -> None:
    answer = http.post("/gradio_api/upload", files={"files": ("big.tif", b"0" * (5 << 20))})
    assert answer.status_code == 413


def test_every_picture_is_sent_as_it_is(http: httpx.Client) -> None:
    components = http.get("/config").json()["components"]
    formats = [part["props"]["format"] for part in components if "format" in part["props"]]
    assert len(formats) >= 3
    assert set(formats) == {"png"}


def test_other_programs_settings_for_gradio_do_not_reach_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(os.environ)
    try:
        monkeypatch.setenv("GRADIO_SHARE", "True")
        monkeypatch.setenv("GRADIO_ALLOWED_PATHS", "/")
        seal_environment(tmp_path)
        ours = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert ours == {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        "GRADIO_TEMP_DIR": str(tmp_path),
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_a_port_that_cannot_be_had_is_told_before_anything_is_loaded(
    page: Any, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert metseg.main(["gradio", "--host", host, "--port", str(page.port), "--password", "long-enough"]) == 2
    captured = capsys.readouterr()
    assert "choose another --port" in captured.err
    assert captured.out == ""
