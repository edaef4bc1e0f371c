"""One file, one mask: the command, the server (alone and in company), both pages and the reviewer agree to the byte."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import metseg
from core.io import encode_png, encode_tiff, find_scans, read_mask, read_scan
from core.model_store import find_model, load_card
from core.phantom import make_phantom

PATIENCE = 120.0
COMPANY = 16


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of 16-bit slices, as a scanner's export would be."""
    scan, _ = make_phantom(5, 4, 112)
    path = tmp_path_factory.mktemp("phantom") / "head.tif"
    tifffile.imwrite(path, scan.voxels[:, 0].astype(np.uint16) * 40, photometric="minisblack", metadata=None)
    return path


@pytest.fixture(scope="module")
def patient(lgg_root: Path) -> Path:
    """The slice with the most lesion of the first patient who has some."""
    for source in find_scans(lgg_root):
        areas = read_mask(source).sum(axis=(1, 2))
        if areas.any():
            return source.paths[int(areas.argmax())]
    pytest.skip("nobody in the LGG set here has a lesion")


def by_command(path: Path, model: Path, out: Path) -> bytes:
    assert metseg.main(["segment", str(path), "--model", str(model), "--out", str(out)]) == 0
    (mask,) = out.rglob("*_mask.tif")
    return mask.read_bytes()


def by_server(url: str, path: Path) -> tuple[bytes, list[bytes]]:
    """The mask that the server gives to whoever comes alone, and to each of four in a crowd of others."""
    import httpx

    generator = np.random.default_rng(1)
    own = path.read_bytes()
    others = [encode_tiff(generator.integers(0, 255, (1 + n % 3, 40 + n, 56), np.uint8)) for n in range(8)]
    others += [encode_png(generator.integers(0, 255, (61, 45 + n), np.uint8)) for n in range(3)]
    others += [b"neither picture nor stack"]
    crowd = [own if number % 4 == 1 else others.pop() for number in range(COMPANY)]
    barrier = threading.Barrier(COMPANY)

    def ask(content: bytes) -> httpx.Response:
        files, headers = {"file": ("scan", content)}, {"Accept": "image/tiff"}
        return httpx.post(f"{url}/predict/", files=files, headers=headers, timeout=PATIENCE, trust_env=False)

    def together(content: bytes) -> httpx.Response:
        barrier.wait(PATIENCE)
        return ask(content)

    alone = ask(own)
    with ThreadPoolExecutor(COMPANY) as pool:
        answers = list(pool.map(together, crowd))
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [415]
    return alone.content, [answer.content for answer, content in zip(answers, crowd, strict=True) if content is own]


def by_streamlit(url: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    from streamlit.testing.v1 import AppTest

    from web_streamlit.downloads import mask_files

    monkeypatch.setenv("METSEG_API_URL", url)
    monkeypatch.delenv("METSEG_API_KEY", raising=False)
    page = AppTest.from_file(str(Path(metseg.__file__).parent / "web_streamlit" / "app.py"), default_timeout=PATIENCE)
    page.run().file_uploader[0].set_value([(path.name, path.read_bytes(), "image/tiff")]).run()
    page.button(key="go").click().run()
    desk = page.session_state["desk"]
    assert desk.run is None or desk.run.wait(PATIENCE)
    page.run()
    (each,) = desk.results()
    masks = mask_files(desk.result(*each))
    assert list(masks) == [f"{path.stem}_mask.tif"]
    return masks[f"{path.stem}_mask.tif"]


def by_gradio(url: str, path: Path) -> bytes:
    from gradio_client import Client, handle_file

    client = Client(url, verbose=False)
    mask, _ = client.predict(handle_file(str(path)), api_name="/segment")
    client.close()
    return Path(mask).read_bytes()


def by_reviewer(path: Path, model: Path, folder: Path) -> bytes:
    from desktop.session.export import Entry, export_review
    from desktop.session.results import find, load_result, mask_hash, pack_mask
    from desktop.session.worker import Worker

    (source,), out = find_scans(path), io.StringIO()
    request = {"job": 1, "name": source.name, "paths": [str(path)], "model": str(model), "device": "auto"}
    Worker(out).do(
        {**request, "precision": "auto", "channel": None, "series": None, "results": str(folder / "results")}
    )
    told = json.loads(out.getvalue().splitlines()[-1])
    assert told["event"] == "done"
    scan, card = read_scan(source), load_card(model)
    result = load_result(folder / "results", told["key"])
    assert result is not None
    mask = find(result, card.threshold, scan).mask
    entry = Entry(
        source=source, series=(None,), label=source.name, state="accepted", note="", event=None, image=told["image"],
        mask=(pack_mask(mask), mask.shape), model=card.name, threshold=card.threshold, mask_sha256=mask_hash(mask),
        write=True,
    )  # fmt: skip
    assert export_review([entry], [path], folder / "review").problems == ()
    (written,) = (folder / "review" / "masks").rglob("*_mask.tif")
    return written.read_bytes()


@pytest.mark.parametrize("scan", ["phantom", "patient"])
def test_every_way_in_gives_the_same_mask(
    scan: str,
    request: pytest.FixtureRequest,
    start_metseg: Callable[..., Any],
    free_port: Callable[[], int],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("fastapi", "streamlit", "gradio_client"):
        pytest.importorskip(module, reason="the extra [web] is not installed: pip install '.[web]'")
    path: Path = request.getfixturevalue(scan)
    # A patient's slice is for the model that people get, which finds something in it.
    model = tiny_model if scan == "phantom" else find_model(None)
    expected = by_command(path, model, tmp_path / "out")
    assert tifffile.imread(io.BytesIO(expected)).any()

    server = start_metseg("-m", "metseg", "serve", "--port", "0", "--model", str(model))
    url = re.findall(r"http://[\d.:]+", server.wait_for("running on http"))[0]
    server.wait_for(" ready: ")
    alone, in_company = by_server(url, path)
    assert alone == expected
    assert in_company == [expected] * 4
    assert by_streamlit(url, path, monkeypatch) == expected
    server.stop()
    assert not any(path.name in line for line in server.lines)

    port = free_port()
    page = start_metseg("-m", "metseg", "gradio", "--port", str(port), "--model", str(model))
    page.wait_for("The page is at")
    assert by_gradio(f"http://127.0.0.1:{port}/", path) == expected
    assert page.stop() == 0
    assert by_reviewer(path, model, tmp_path) == expected
    assert server.reached_outside() == page.reached_outside() == []
