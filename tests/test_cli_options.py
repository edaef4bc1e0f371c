"""Every option of the command reaches the room that it is for; the rooms have tests of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import metseg
from core.errors import Cancelled
from core.evaluation.evaluate import Settings
from core.phantom import write_phantom_case

Asked = dict[str, Any]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Asked]:
    """Run the command as far as the door of a room, named as `module.function`; what is handed in there by name."""

    def ask(door: str, line: str) -> Asked:
        pytest.importorskip(door.rpartition(".")[0], reason="an extra is not installed")
        seen: Asked = {}

        def stand_in(*given: Any, **named: Any) -> Any:
            for value in given:
                if is_dataclass(value) and not isinstance(value, type):
                    seen.update({field.name: getattr(value, field.name) for field in fields(value)})
                elif hasattr(value, "model_dump"):
                    seen.update(value.model_dump())
            seen.update(named)
            raise Cancelled("that is all")

        monkeypatch.setattr(door, stand_in)
        assert metseg.main(line.split()) == 130
        return seen

    return ask


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    write_phantom_case(1, tmp_path / "scans", slices=1, size=64)
    return tmp_path / "scans"


def test_segment(ask: Callable[[str, str], Asked], scans: Path, tmp_path: Path, tiny_model: Path) -> None:
    seen = ask(
        "core.batch.run.run_batch",
        f"segment {scans} --out {tmp_path / 'out'} --model {tiny_model} --device cpu --precision fp32 --threshold 0.3 "
        "--tta --min-lesion 7 --grid native --channel 0 --series 2 --as tiff --probability --deidentify --overwrite",
    )
    expected = {
        "folder": tiny_model, "device": "cpu", "precision": "fp32", "threshold": 0.3, "tta": True, "min_lesion": 7,
        "grid": "native", "channel": 0, "series": "2", "form": "tiff", "probability": True, "deidentify": True,
        "overwrite": True,
    }  # fmt: skip
    assert {name: seen[name] for name in expected} == expected


def test_folds(ask: Callable[[str, str], Asked], tmp_path: Path) -> None:
    line = f"folds {tmp_path} --out {tmp_path / 'folds.json'} --count 3 --seed 4 --channel 1"
    seen = ask("core.evaluation.divide.divide_folder", f"{line} --patients (.*)_x")
    expected = {"count": 3, "seed": 4, "patients": "(.*)_x", "each_image": False, "channel": "1"}
    assert {name: seen[name] for name in expected} == expected
    assert ask("core.evaluation.divide.divide_folder", f"{line} --each-image")["each_image"] is True


def test_train(ask: Callable[[str, str], Asked], tmp_path: Path) -> None:
    line = f"train {tmp_path} --network nested-unet --out {tmp_path / 'run'}"
    seen = ask("training.train.train", f"{line} --inner 0.25 --patients (.*)_x --channel flair --loss focal-tversky")
    expected = {
        "inner": 0.25, "patients": "(.*)_x", "channel": "flair", "loss": "focal-tversky", "each_image": False,
    }  # fmt: skip
    assert {name: seen[name] for name in expected} == expected
    assert ask("training.train.train", f"{line} --each-image")["each_image"] is True
    assert ask("training.train.train", f"{line} --all")["inner"] == 0.0
    attention = line.replace("nested", "attention")
    for told, limit in (
        (line, -1.0), (f"{line} --clahe", 2.0), (attention, 2.0), (f"{attention} --no-clahe", -1.0),
    ):  # fmt: skip
        preprocessing = ask("training.train.train", told)["preprocessing"]
        assert (preprocessing.clip_limit, preprocessing.standardise) == (limit, True), told


def test_evaluate(ask: Callable[[str, str], Asked], tmp_path: Path, tiny_model: Path) -> None:
    seen = ask(
        "core.evaluation.evaluate.evaluate",
        f"evaluate {tiny_model} {tmp_path} --out {tmp_path / 'out'} --folds lgg --fold 2 --patients (.*)_x "
        f"--each-image --learnt {tmp_path / 'learnt'} --allow-learnt --device cpu --precision fp32 --threshold 0.3 "
        "--tta --min-lesion 7 --grid fit --channel 1 --overwrite",
    )
    expected = {
        "folds": "lgg", "fold": 2, "patients": "(.*)_x", "each_image": True, "learnt": tmp_path / "learnt",
        "allow_learnt": True, "overwrite": True,
        "settings": Settings(0.3, True, 7, "fit", "1", device="cpu", precision="fp32"),
    }  # fmt: skip
    assert {name: seen[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("door", "line"),
    [
        ("core.evaluation.compare.compare", "compare A B --out OUT --name one --name other"),
        ("core.evaluation.join.redo_tables", "table A --out OUT --name one"),
    ],
)
def test_compare_and_table(ask: Callable[[str, str], Asked], door: str, line: str) -> None:
    assert ask(door, line)["overwrite"] is False
    assert ask(door, f"{line} --overwrite")["overwrite"] is True


@pytest.mark.parametrize(
    ("door", "line"),
    [
        ("core.evaluation.divide.divide_folder", "folds A --out OUT"),
        ("core.evaluation.slices.measure_leak", "leak A B --out OUT"),
        ("core.evaluation.calibration.calibrate", "calibrate A --out OUT"),
    ],
)
def test_a_file_that_is_there_is_made_anew_only_where_that_was_asked_for(
    ask: Callable[[str, str], Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "OUT").write_text("earlier")
    assert metseg.main(line.split()) == 3
    ask(door, f"{line} --overwrite")
    assert (tmp_path / "OUT").read_text() == "earlier"  # until there is something to take its place


def test_serve(ask: Callable[[str, str], Asked], tiny_model: Path) -> None:
    line = f"serve --model {tiny_model} --device cpu --precision fp32 --insecure"
    seen = ask("api.serve.serve", line)
    expected = {"device": "cpu", "precision": "fp32", "insecure": True}
    assert {name: seen[name] for name in expected} == expected
    assert str(seen["model"]) == str(tiny_model)


def test_web(ask: Callable[[str, str], Asked], monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    launch = pytest.importorskip("web_streamlit.launch", reason="the extra [web] is not installed")
    pages: list[tuple[Any, ...]] = []
    monkeypatch.setattr("core.addresses.check_port", lambda host, port: None)
    monkeypatch.setattr(launch, "run_page_at", lambda *given: pages.append(given) or 0)
    assert metseg.main(["web", "--api", "http://127.0.0.1:9", "--port", "8502"]) == 0
    assert pages == [("http://127.0.0.1:9", 8502)]
    monkeypatch.setattr(launch, "run_page", lambda server, port: server())
    seen = ask("api.serve.make_server", f"web --model {tiny_model} --device cpu --precision fp32")
    assert (seen["device"], seen["precision"], str(seen["model"])) == ("cpu", "fp32", str(tiny_model))


def test_gradio_and_review(
    ask: Callable[[str, str], Asked], scans: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = ask(
        "web_gradio.serve.serve",
        f"gradio --share --host 127.0.0.1 --port 7999 --password longenough --model {tiny_model} --device cpu "
        "--precision fp32",
    )
    expected = {
        "share": True, "host": "127.0.0.1", "port": 7999, "password": "longenough", "models": (str(tiny_model),),
        "device": "cpu", "precision": "fp32",
    }  # fmt: skip
    assert {name: seen[name] for name in expected} == expected
    pytest.importorskip("PyQt6.QtWidgets", reason="the extra [desktop] is not installed", exc_type=ImportError)
    monkeypatch.setattr("desktop.app.display_problem", lambda: None)
    seen = ask("desktop.app.run_review", f"review {scans} --model {tiny_model} --device cpu --precision fp32")
    assert (seen["model"], seen["device"], seen["precision"]) == (str(tiny_model), "cpu", "fp32")
