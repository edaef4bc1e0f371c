"""`metseg`, `metseg info` and what comes before any verb."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import metseg
from core.errors import ModelDamaged
from core.model_store import shipped_models
from core.system import VERSION

ROOT = Path(__file__).parent.parent
SLOW = ("numpy", "torch", "cv2", "scipy", "rich", "pydantic", "lightning")


def python(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["info"], ["info", "--json"], ["segment", "--help"]])
def test_it_answers_without_importing_anything_slow(arguments: list[str]) -> None:
    code = f"import sys, metseg; end = metseg.main({arguments!r}); print(sorted(set({SLOW!r}) & set(sys.modules)), end)"
    done = python("-c", code)
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_info_as_json_says_what_is_here() -> None:
    done = python("-m", "metseg", "info", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    info = json.loads(done.stdout)
    assert info["metseg"] == VERSION
    assert [model["name"] for model in info["models"]] == list(shipped_models())
    assert [model["default"] for model in info["models"]] == [index == 0 for index in range(len(info["models"]))]
    processor = info["devices"][-1]
    assert processor["kind"] == "cpu"
    assert 1 <= processor["threads"] <= (os.cpu_count() or 1)
    assert "Research use only" in info["research_use_only"]
    assert "check" not in info


def test_info_as_a_page_names_devices_and_folders(capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(["info"]) == 0
    page = capsys.readouterr().out
    assert f"metseg {VERSION}" in page
    assert "cpu:" in page
    assert "cache:" in page
    assert "Research use only" in page


def test_the_check_asks_torch_and_loads_every_model(
    capsys: pytest.CaptureFixture[str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model, tmp_path / "good")
    shutil.copytree(tiny_model, tmp_path / "torn")
    weights = tmp_path / "torn" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    monkeypatch.setattr("core.model_store.SHIPPED", tmp_path)
    assert metseg.main(["info", "--check", "--json"]) == metseg.FAILED
    check = json.loads(capsys.readouterr().out)["check"]
    cpu = check["devices"][0]
    assert (cpu["device"], cpu["works"], cpu["problem"]) == ("cpu", True, None)
    problems = {model["name"]: model["problem"] for model in check["models"]}
    assert problems["good"] is None
    assert "weights" in problems["torn"]
    assert metseg.main(["info", "--check"]) == metseg.FAILED
    assert "cpu (cpu): computes" in capsys.readouterr().out


def test_a_model_with_a_damaged_card_is_listed_with_its_fault(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "card.json").write_text("{}")
    monkeypatch.setattr("core.model_store.SHIPPED", tmp_path)
    assert metseg.main(["info", "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert "card.json" in model["error"]


def test_a_models_card_is_shown_as_a_page_and_as_json(capsys: pytest.CaptureFixture[str], tiny_model: Path) -> None:
    card = json.loads((tiny_model / "card.json").read_text(encoding="utf-8"))
    assert metseg.main(["info", str(tiny_model)]) == 0
    page = capsys.readouterr().out
    assert page.splitlines()[:2] == [f"{card['name']} {card['version']}", card["summary"]]
    assert card["weights"]["sha256"] in page
    assert metseg.main(["info", str(tiny_model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(tiny_model), **card}


def test_a_model_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(["info", "no-such-model"]) == metseg.WRONG_USAGE
    assert capsys.readouterr().err.startswith("metseg: no-such-model: there is no such model")


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main([]) == metseg.WRONG_USAGE
    captured = capsys.readouterr()
    assert "segment" in captured.out + captured.err


def test_something_unforeseen_is_one_sentence_and_a_traceback_only_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(check: bool) -> dict[str, Any]:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr("metseg_info.gather_info", fail)
    monkeypatch.delenv("METSEG_DEBUG", raising=False)
    assert metseg.main(["info"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "ZeroDivisionError: first line" in line
    assert "METSEG_DEBUG=1" in line
    monkeypatch.setenv("METSEG_DEBUG", "1")
    assert metseg.main(["info"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_ours_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(check: bool) -> dict[str, Any]:
        raise ModelDamaged("the card is torn\x1b[31m; install it again", source="m")

    monkeypatch.setattr("metseg_info.gather_info", fail)
    assert metseg.main(["info"]) == metseg.FAILED
    assert capsys.readouterr().err == "metseg: m: the card is torn\N{REPLACEMENT CHARACTER}[31m; install it again\n"


def test_another_package_named_core_is_noticed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").write_text("raise SystemExit('the wrong core was run')")
    search = f"import sys; sys.path.insert(1, {str(ROOT)!r}); "
    done = python("-c", search + "import metseg; sys.exit(metseg.main(['info']))", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "core") in line
    assert "environment of its own" in line
    done = python("-c", search + "from metseg import read_scan", cwd=tmp_path)
    assert "ImportError: metseg needs its own package core" in done.stderr


def test_a_character_that_the_terminal_cannot_show_does_not_end_a_run(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "μ-∩"
    shutil.copytree(tiny_model, model)
    done = python("-m", "metseg", "info", str(model), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "?-?" in done.stdout
