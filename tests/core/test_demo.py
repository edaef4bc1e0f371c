"""The demo from nothing to its page, with tiny models whose weights are random."""

from __future__ import annotations

import base64
import json
import re
import statistics
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from core.demo import DemoResult, DemoStep, run_demo
from core.demo_page import MARK
from core.errors import Cancelled, ModelNotFound, OutputError
from core.measure.dice import dice
from core.phantom import make_phantom

SMALL = {"seeds": (1, 2), "slices": 2, "size": 64, "device": "cpu", "precision": "fp32"}
NAMES = ("PHANTOM_0001", "PHANTOM_0002")


class Page(HTMLParser):
    """What a page asks for, shows and says."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def demo(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoResult, list[DemoStep]]:
    steps: list[DemoStep] = []
    folder = tmp_path_factory.mktemp("demo") / "out"
    return run_demo(folder, steps.append, models=tuple(tiny_models.values()), **SMALL), steps


@pytest.fixture(scope="module")
def page(demo: tuple[DemoResult, list[DemoStep]]) -> Page:
    return Page(demo[0].page.read_text(encoding="utf-8"))


def test_every_model_has_a_dice_for_every_case_that_is_that_of_the_files(
    demo: tuple[DemoResult, list[DemoStep]], tiny_models: dict[str, Path]
) -> None:
    result, _ = demo
    assert [model.name for model in result.models] == [folder.name for folder in tiny_models.values()]
    assert tuple(case.name for case in result.cases) == NAMES
    for model in result.models:
        assert tuple(model.dice) == tuple(model.lesions) == NAMES
        assert model.mean_dice == pytest.approx(np.mean(list(model.dice.values())))
        manifests = [json.loads((model.folder / name / "manifest.json").read_text("utf-8")) for name in NAMES]
        times = [sum(manifest["milliseconds_per_slice"].values()) for manifest in manifests]
        assert model.milliseconds_per_slice == pytest.approx(statistics.median(times))
        for seed, name in enumerate(NAMES, 1):
            files = [model.folder / name / f"{name}_{number}_mask.tif" for number in (1, 2)]
            found = np.stack([tifffile.imread(file) > 0 for file in files])
            assert model.dice[name] == pytest.approx(dice(found, make_phantom(seed, 2, 64)[1]))


def test_progress_counts_up_to_the_end(demo: tuple[DemoResult, list[DemoStep]]) -> None:
    _, steps = demo
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert {step.total for step in steps} == {steps[-1].done}
    assert sum("PHANTOM_0002 with" in step.doing for step in steps) == 2


def test_the_page_asks_nothing_from_anywhere(page: Page) -> None:
    for address in page.asked:
        assert address.startswith(("data:image/png;base64,", "#"))
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)


def test_the_pages_style_asks_nothing_from_anywhere_and_knows_dark_and_narrow_screens(
    demo: tuple[DemoResult, list[DemoStep]],
) -> None:
    content = demo[0].page.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[^\"]*", "", content))
    assert "prefers-color-scheme: dark" in content
    assert "max-width: 480px" in content


def test_the_page_is_well_formed_and_its_links_lead_somewhere(
    page: Page, demo: tuple[DemoResult, list[DemoStep]]
) -> None:
    assert page.open == []
    content = demo[0].page.read_text(encoding="utf-8")
    targets = [address[1:] for address in page.asked if address.startswith("#")]
    assert targets == list(NAMES)
    assert all(f'id="{target}"' in content for target in targets)


def test_the_page_shows_slice_truth_and_each_model_at_full_size(page: Page) -> None:
    pictures = [address.partition(",")[2] for address in page.asked if address.startswith("data:")]
    assert len(pictures) == len(NAMES) * 4
    shapes = {cv2.imdecode(np.frombuffer(base64.b64decode(p), np.uint8), cv2.IMREAD_COLOR).shape for p in pictures}
    assert shapes == {(64, 64, 3)}
    assert len(set(pictures)) == len(pictures)


def test_the_page_says_what_it_is_and_what_it_is_not(page: Page, demo: tuple[DemoResult, list[DemoStep]]) -> None:
    words = " ".join(page.text.split())
    for sentence in (
        "Research use only",
        "These are synthetic pictures",
        "No model learnt from them",
        "says little about how well a model does on real scans",
        "metseg segment FOLDER --out RESULTS",
    ):
        assert sentence in words
    for model in demo[0].models:
        assert f"{model.mean_dice:.3f}" in words
        assert all(f"{value:.3f}" in words for value in model.dice.values())


def test_a_second_demo_takes_over_what_the_first_one_found_and_makes_good_what_was_lost(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_demo(tmp_path, models=[tiny_model], **SMALL)
    masks = sorted(tmp_path.glob("results/*/*/*_mask.tif"))
    kept = [mask.stat().st_mtime_ns for mask in masks]
    with monkeypatch.context() as without:
        without.setattr("core.batch.run._predictor", lambda request: pytest.fail("a model was loaded again"))
        again = run_demo(tmp_path, models=[tiny_model], **SMALL)
    assert [mask.stat().st_mtime_ns for mask in masks] == kept
    assert again.models[0].dice == first.models[0].dice

    tifffile.imwrite(masks[0], np.zeros((64, 64), np.uint8))
    mended = run_demo(tmp_path, models=[tiny_model], **SMALL)
    assert mended.models[0].dice == first.models[0].dice
    assert masks[-1].stat().st_mtime_ns == kept[-1]


def test_other_settings_replace_the_demos_own_results(tiny_model: Path, tmp_path: Path) -> None:
    run_demo(tmp_path, models=[tiny_model], **SMALL)
    longer = run_demo(tmp_path, models=[tiny_model], **{**SMALL, "slices": 3})
    assert len(list((longer.models[0].folder / NAMES[0]).glob("*_mask.tif"))) == 3


def test_a_page_that_the_demo_did_not_write_is_left_alone(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my own page", encoding="utf-8")
    with pytest.raises(OutputError, match="did not write"):
        run_demo(tmp_path, models=[tiny_model], **SMALL)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "my own page"
    assert not (tmp_path / "cases").exists()
    assert "metseg" in MARK


def test_a_demo_can_be_stopped_and_gone_on_with(tiny_model: Path, tmp_path: Path) -> None:
    steps: list[DemoStep] = []
    with pytest.raises(Cancelled):
        run_demo(tmp_path, steps.append, models=[tiny_model], cancelled=lambda: len(steps) >= 5, **SMALL)
    assert not (tmp_path / "index.html").exists()
    assert run_demo(tmp_path, models=[tiny_model], **SMALL).page.is_file()


def test_without_a_model_the_demo_says_so_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model came"):
        run_demo(tmp_path / "out", models=[])
    assert not (tmp_path / "out").exists()
