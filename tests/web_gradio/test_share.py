"""A link where there is a way out; a reason and a page that goes on where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio import networking
from gradio.exceptions import ChecksumMismatchError
from gradio_client import Client
from gradio_client.exceptions import AuthenticationError

import metseg
from core.errors import UsageError
from web_gradio import serve
from web_gradio.settings import USER, Settings
from web_gradio.share import NoLinkError, open_link


def test_without_a_way_out_the_reason_is_one_line_and_the_page_goes_on_behind_a_password(
    open_page: Callable[..., Any],
) -> None:
    page = open_page(share=True)
    reason = page.running.wait_for("No share link: ")
    assert page.url in reason
    assert "the share service cannot be reached" in reason
    assert page.running.reached_outside() == ["api.gradio.app"]
    password = page.running.wait_for("password: ").rpartition(" ")[2].strip()
    client = Client(page.url, auth=(USER, password), verbose=False)
    assert len(client.predict(api_name="/models")) == 2
    assert "nowhere else" not in where_files_go(client)
    for said in (page.running.wait_for("Asking for a share link"), where_files_go(client)):
        assert "pass through Gradio's share service" in said
    client.close()
    with pytest.raises((AuthenticationError, ValueError)):
        Client(page.url, verbose=False)
    with httpx.Client(base_url=page.url, trust_env=False) as stranger:
        assert stranger.post("login", data={"username": USER, "password": "wrong"}).status_code == 400
        assert stranger.post("gradio_api/call/models", json={"data": []}).status_code == 401
        assert stranger.get("config").status_code == 401
    assert page.running.stop() == 0
    assert not any("Traceback" in line for line in page.running.lines)
    assert list(page.place.iterdir()) == []


def where_files_go(client: Client) -> str:
    """What the page says of that, at its end."""
    texts = [str(part["props"].get("value")) for part in client.config["components"]]
    return next(text for text in texts if "Files go to" in text)


def test_without_a_link_files_go_nowhere_else(client: Client) -> None:
    assert "this page and nowhere else" in where_files_go(client)
    assert "share" not in where_files_go(client)


def test_a_link_and_the_help_say_whom_files_pass_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr("web_gradio.serve.open_link", lambda *_: "https://abc.gradio.live")
    room: Any = None
    serve._share(serve.Opened("http://127.0.0.1:7860/", 7860, room), tmp_path, said.append)
    assert "Gradio's share service, which could read them" in said[0]
    assert "https://abc.gradio.live" in said[1]
    assert "Gradio's share service" in said[1]
    assert metseg.main(["gradio", "--help"]) == 0
    assert "pass through Gradio's share service" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def failing(error: Exception, cause: Exception | None = None) -> Callable[..., str]:
    def setup_tunnel(*_: Any) -> str:
        print("what the tunnel's program has to say", file=sys.stderr)
        raise error from cause

    return setup_tunnel


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (failing(RuntimeError("x"), httpx.ConnectError("x")), "cannot be reached"),
        (failing(RuntimeError("x"), httpx.ReadTimeout("x")), "does not answer"),
        (failing(RuntimeError("x"), KeyError("host")), "opened no tunnel"),
        (failing(ChecksumMismatchError()), "not the one"),
        (failing(PermissionError("/home/me/.cache")), "cannot be installed"),
        (failing(ValueError("log\nof many\nlines")), "opened no tunnel"),
    ],
)
def test_each_reason_is_a_few_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setup: Callable[..., str],
    words: str,
) -> None:
    monkeypatch.setattr(networking, "CERTIFICATE_PATH", networking.CERTIFICATE_PATH)
    monkeypatch.setattr(networking, "setup_tunnel", setup)
    with pytest.raises(NoLinkError, match=words) as reason:
        open_link("127.0.0.1", 7860, tmp_path)
    assert "\n" not in str(reason.value)
    assert "/home" not in str(reason.value)
    assert capsys.readouterr().err == ""


def test_a_link_is_that_of_the_tunnel_and_its_certificate_stays_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(networking, "CERTIFICATE_PATH", networking.CERTIFICATE_PATH)
    monkeypatch.setattr(networking, "setup_tunnel", lambda *given: asked.append(given) or "http://abc.gradio.live")
    assert open_link("127.0.0.1", 7861, tmp_path) == "https://abc.gradio.live"
    assert asked[0][:2] == ("127.0.0.1", 7861)
    assert Path(networking.CERTIFICATE_PATH).parent == tmp_path


def test_who_can_reach_the_page_decides_whether_it_needs_a_password() -> None:
    assert not Settings().reachable
    assert not Settings(host="localhost").reachable
    assert Settings(share=True).reachable
    assert Settings(host="0.0.0.0").reachable  # noqa: S104


def test_a_short_password_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        Settings(password="short")  # noqa: S106
    assert metseg.main(["gradio", "--password", "short"]) == 2
    assert "too short" in capsys.readouterr().err


def test_the_verb_hands_on_every_option(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr("web_gradio.serve.serve", lambda settings, say: seen.append(settings))
    line = "gradio --share --host 0.0.0.0 --port 7999 --password long-enough --device cpu --precision fp32"
    assert metseg.main([*line.split(), "--model", str(tiny_model)]) == 0
    wanted = Settings((str(tiny_model),), "cpu", "fp32", "0.0.0.0", 7999, True, "long-enough")  # noqa: S104
    assert seen == [wanted]


def test_without_its_packages_the_verb_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = metseg.importlib.util.find_spec
    monkeypatch.setattr(metseg.importlib.util, "find_spec", lambda name: None if name == "gradio" else find(name))
    assert metseg.main(["gradio"]) == 2
    assert "'.[web]'" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_told_before_the_page_opens(capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(["gradio", "--model", "no-such-model", "--device", "cpu"]) == 2
    assert "there is no such model" in capsys.readouterr().err
