"""`metseg`, `metseg info` and what comes before any verb."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
    shutil.copytree(tiny_model, tmp_path / "odd")
    (tmp_path / "odd" / "familiar.json").write_text("{}")
    monkeypatch.setattr("core.model_store.SHIPPED", tmp_path)
    assert metseg.main(["info", "--check", "--json"]) == metseg.FAILED
    check = json.loads(capsys.readouterr().out)["check"]
    cpu = check["devices"][0]
    assert (cpu["device"], cpu["works"], cpu["problem"]) == ("cpu", True, None)
    problems = {model["name"]: model["problem"] for model in check["models"]}
    assert problems["good"] is None
    assert "weights" in problems["torn"]
    assert "familiar.json" in problems["odd"]
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
    first, second, *_ = page.splitlines()
    assert first == f"{card['name']}, version {card['version']}"
    assert card["summary"] in second
    assert card["weights"]["sha256"] in page
    assert metseg.main(["info", str(tiny_model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(tiny_model), **card}


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_models_page_begins_with_how_good_it_is_and_fits_the_terminal(
    name: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert metseg.main(["info", name, "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert metseg.main(["info", name]) == 0
    page = capsys.readouterr().out
    assert max(len(line) for line in page.splitlines() if card["folder"] not in line) <= columns
    assert "Dice of the whole volume" in page[:300]
    figures, folds, patients = card["metrics"]["figures"], card["metrics"]["folds"], card["data"]["patients"]
    assert "{mean:.3f} ({low:.3f} to {high:.3f}), median {median:.3f}\n".format(**figures["dice"]) in page
    assert "{mean:.2f} ({low:.2f} to {high:.2f}), ".format(**figures["false_positives_per_scan"]) in page
    assert f"{len(folds['scored'])} of {folds['name']}: " in page
    assert f"{len(patients)}, named in card.json" in page
    assert not [patient for patient in patients if patient in page]
    words = " ".join(page.split())
    assert "epochs at half resolution, windows of 96 pixels, learning rate up to 0.0015" in words
    assert "turned by up to 20°, resized by up to 25 %," in words
    assert all(sentence in words for sentence in card["limits"])
    assert "watched" not in page  # nobody was


def page_of(model: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What stands beside each label."""
    assert metseg.main(["info", str(model)]) == 0
    lines = [line.strip().partition("  ") for line in capsys.readouterr().out.splitlines()]
    return {label: text.strip() for label, _, text in lines}


def test_the_page_of_a_fresh_model_says_what_is_known_and_nothing_empty(
    capsys: pytest.CaptureFixture[str], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    augmentation = {"rotation": 20.0, "gamma": 0.0}
    recipe = {"stages": [{"epochs": 1, "shrink": 4, "window": 48, "peak": 1e-3}], "augmentation": augmentation}
    data = {"patients": ["Anna", "Berta"], "watched": [], "held_out": ["Carl"], "patient_rule": {}}
    model = make_model(tmp_path / "fresh", data=data, recipe=recipe, metrics={"last_epoch": {"loss": 0.161564}})
    page = page_of(model, capsys)
    assert page["last epoch"] == "loss 0.1616"
    assert page["patients"] == "2, named in card.json"
    assert page["left out"] == "1, never looked at"
    assert page["stages"] == "1 epoch at 1/4 of the resolution, windows of 48 pixels, learning rate up to 0.001"
    assert page["augmentation"] == "turned by up to 20°"
    assert not {"watched", "patients told by", "Limits", "licence", "temperature"} & set(page)
    assert not [title for title in page if title.startswith("How good it is")]


def test_what_somebody_added_to_a_card_is_shown_and_what_is_of_another_kind_stands_as_it_is(
    capsys: pytest.CaptureFixture[str], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    stage = {"epochs": 2, "shrink": 1, "window": 64, "peak": 0.5, "warm_up": 3}
    figures = {"dice": {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 9}, "hd95_px": {"mean": None}, "iou": 0.33333}
    figures["surface_dice_px"] = {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 7}
    model = make_model(
        tmp_path / "own",
        data={"patients": "all of ours", "scanner": {"maker": "X", "tesla": [1.5, 3.0]}, "split": ["by", "hand"]},
        recipe={"stages": [stage], "loss": "my-loss", "batch": "some", "augmentation": {"elastic": 2}},
        metrics={"figures": figures, "folds": "five", "rated_by": [str(number) for number in range(40)]},
    )
    page = page_of(model, capsys)
    assert page["Dice of the whole volume"] == "0.500 (0.250 to 0.750)"
    assert page["Surface Dice at 2 px"] == "0.500 (0.250 to 0.750), patients 7"
    assert (page["iou"], page["folds"]) == ("0.3333", "five")
    assert page["rated by"] == "40 entries, see card.json"
    assert (page["patients"], page["scanner"]) == ("all of ours", "maker X, tesla 1.5, 3")
    assert page["stages"].endswith("learning rate up to 0.5, warm up 3")
    assert (page["loss"], page["batch"], page["augmentation"]) == ("my-loss", "some", "elastic 2")
    strange = make_model(tmp_path / "strange", data=["Anna"], recipe="none", metrics={"figures": 3, "measured": 1})
    assert metseg.main(["info", str(strange)]) == 0
    told = capsys.readouterr().out
    assert [text for text in ("Anna", "none", "3", "1") if f"  {text}\n" not in told] == []


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


@pytest.mark.parametrize("line", ["info tiny --check", "info --series 1"])
def test_options_that_would_do_nothing_are_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(line.split()) == 2
    assert line.split("--")[1].split()[0] in capsys.readouterr().err
