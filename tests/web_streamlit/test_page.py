"""The page as a whole, against a real server, without a browser."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.batch.jobs import plan_jobs
from core.batch.request import make_request
from core.batch.run import run_batch
from core.errors import OutputError
from core.inference import Predictor
from core.io import encode_mask
from core.measure.dice import dice
from core.model_card import PreprocessSettings
from core.scan import Scan
from web_streamlit.downloads import batch_csv, mask_files, zip_file, zip_masks

Open = Callable[..., AppTest]


def texts(page: AppTest) -> str:
    return "\n".join(
        str(part.value) for part in (*page.markdown, *page.caption, *page.warning, *page.error, *page.info)
    )


def test_what_was_read_is_said_before_anything_runs(open_page: Open, api_url: str, kit: SimpleNamespace) -> None:
    page = kit.upload(open_page(api_url), ("scan.tif", kit.tiff(kit.noise(5, 48, 40))))
    assert not page.exception
    assert "5 slices of 40 × 48, 8-bit, 1 channel, spacing unknown, no ground truth" in texts(page)
    assert not kit.desk_of(page).found
    assert [slider.label for slider in page.slider] == ["Slice"]


def test_a_mask_not_to_be_relied_on_says_so_above_the_picture_and_in_the_table(
    open_page: Open, api_url: str, kit: SimpleNamespace
) -> None:
    files = [(f"sub-{number}_{name}.tif", kit.tiff(kit.noise(40, 40))) for number, name in enumerate(("T1w", "FLAIR"))]
    page = kit.find_lesions(kit.upload(open_page(api_url), *files))
    assert [warning.value for warning in page.warning] == [
        "This scan seems to be T1w and the model learnt FLAIR; do not rely on what it finds."
    ]
    rows = csv.DictReader(io.StringIO(batch_csv(kit.desk_of(page).rows()).decode()))
    assert {row["case"]: row["warnings"] for row in rows} == {"sub-0_T1w": "other-sequence", "sub-1_FLAIR": ""}
    assert "other-sequence" in page.dataframe[1].value["Warnings"].tolist()


def test_the_downloaded_masks_are_those_of_the_command(
    open_page: Open, api_url: str, kit: SimpleNamespace, tiny_model: Path, tmp_path: Path
) -> None:
    stack, lone = kit.tiff(kit.noise(3, 48, 40)), kit.tiff(kit.noise(33, 70, seed=1, dtype=np.uint16))
    series = [kit.tiff(kit.noise(32, 48, seed=2 + number, dtype=np.uint16) * 9) for number in range(3)]
    names = {"stack.tif": stack, "lone.tif": lone}
    names |= {f"CASE_{number}.tif": content for number, content in enumerate(series, 1)}
    (tmp_path / "in").mkdir()
    for name, content in names.items():
        (tmp_path / "in" / name).write_bytes(content)
    run_batch(plan_jobs([tmp_path / "in"], tmp_path / "out"), make_request(str(tiny_model)), tmp_path / "out")
    expected = {path.name: kit.tiff_of(path.read_bytes()) for path in (tmp_path / "out").rglob("*_mask.tif")}

    page = kit.find_lesions(kit.upload(open_page(api_url), *names.items()))
    assert not page.exception
    desk = kit.desk_of(page)
    got = {}
    for case, card in desk.results():
        got |= {name: kit.tiff_of(content) for name, content in mask_files(desk.result(case, card)).items()}
    assert sorted(got) == sorted(expected) == sorted(f"{Path(name).stem}_mask.tif" for name in names)
    for name, mask in expected.items():
        assert mask.any()
        np.testing.assert_array_equal(got[name], mask)


def test_moving_the_threshold_asks_nothing_and_equals_the_server(
    open_page: Open, kit: SimpleNamespace, tiny_model: Path
) -> None:
    import httpx

    content = kit.tiff(kit.noise(2, 48, 40))
    with kit.api([tiny_model]) as url:
        page = kit.find_lesions(kit.upload(open_page(url), ("scan.tif", content)))
        files, data = {"file": ("scan.tif", content)}, {"threshold": "0.62"}
        answer = httpx.post(
            f"{url}/predict/", files=files, data=data, headers={"accept": "image/tiff"}, trust_env=False
        )
    # The server is gone now, and the page goes on.
    page.slider(key=f"threshold-{tiny_model.name}").set_value(0.62).run()
    assert not page.exception
    desk = kit.desk_of(page)
    ((case, card),) = desk.results()
    result = desk.result(case, card)
    assert result.finding.threshold == 0.62
    np.testing.assert_array_equal(np.where(result.finding.mask, 255, 0), kit.tiff_of(answer.content))
    assert len(result.finding.lesions) > 0


def voxels_of_cases(page: AppTest) -> list[int]:
    return list(next(table.value for table in page.dataframe if "Model" in table.value.columns)["Voxels"])


def test_the_table_of_all_cases_follows_a_moved_threshold(
    open_page: Open, api_url: str, kit: SimpleNamespace, tiny_model: Path
) -> None:
    files = [(f"{name}.tif", kit.tiff(kit.noise(2, 48, 40, seed=seed))) for seed, name in enumerate("ab")]
    page = kit.find_lesions(kit.upload(open_page(api_url), *files))
    before = voxels_of_cases(page)
    page.slider(key=f"threshold-{tiny_model.name}").set_value(0.62).run()
    after = voxels_of_cases(page)
    desk = kit.desk_of(page)
    assert after == [int(desk.result(*each).finding.mask.sum()) for each in desk.results()]
    assert all(less < more for less, more in zip(after, before, strict=True))
    assert "tiny-nested-unet at 0.62" in texts(page)
    assert not desk.moved
    assert "update" not in {button.key for button in page.button}


def test_masks_of_a_series_can_be_had_without_all_the_rest(open_page: Open, api_url: str, kit: SimpleNamespace) -> None:
    files = [(f"CASE_{number}.tif", kit.tiff(kit.noise(32, 48, seed=number))) for number in range(1, 4)]
    page = kit.find_lesions(kit.upload(open_page(api_url), *files))
    desk = kit.desk_of(page)
    (each,) = desk.results()
    masks = mask_files(desk.result(*each))
    assert {"3 masks", "All, zipped"} <= {button.label for button in page.get("download_button")}
    with zipfile.ZipFile(io.BytesIO(zip_masks(masks))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == masks
    assert sorted(masks) == ["CASE_1_mask.tif", "CASE_2_mask.tif", "CASE_3_mask.tif"]


def test_the_slider_starts_where_the_most_lesion_is(open_page: Open, api_url: str, kit: SimpleNamespace) -> None:
    voxels = np.zeros((6, 64, 64), np.uint8)
    voxels[4] = kit.noise(64, 64)
    page = kit.find_lesions(kit.upload(open_page(api_url), ("scan.tif", kit.tiff(voxels))))
    desk = kit.desk_of(page)
    ((case, card),) = desk.results()
    areas = desk.result(case, card).finding.mask.sum(axis=(1, 2))
    slider = next(slider for slider in page.slider if slider.label == "Slice")
    assert areas[slider.value - 1] == areas.max() > 0


def test_two_models_are_compared_by_the_dice_between_them(
    open_page: Open, api_url: str, kit: SimpleNamespace, tiny_models: dict[str, Path]
) -> None:
    page = kit.upload(open_page(api_url), ("scan.tif", kit.tiff(kit.noise(2, 64, 64))))
    names = [folder.name for folder in tiny_models.values()]
    page.multiselect(key="models").set_value(names).run()
    page = kit.find_lesions(page)
    assert not page.exception
    desk = kit.desk_of(page)
    a, b = (desk.result(case, card) for case, card in desk.results())
    agreement = dice(a.finding.mask, b.finding.mask)
    assert 0 < agreement < 1
    assert a.agreement == b.agreement == agreement
    assert {metric.label: metric.value for metric in page.metric}["Agreement"] == f"{agreement:.3f}"
    page.segmented_control(key=f"shown-{desk.case.key}").set_value(names[1]).run()
    assert not page.exception
    assert page.slider(key=f"threshold-{names[1]}").value == 0.5


def test_ground_truth_beside_the_image_or_added_gives_dice(open_page: Open, api_url: str, kit: SimpleNamespace) -> None:
    image, truth = kit.tiff(kit.noise(3, 48, 40)), kit.noise(3, 48, 40, seed=7) > 128
    mask = kit.tiff(truth.astype(np.uint8) * 255)
    page = kit.find_lesions(kit.upload(open_page(api_url), ("scan.tif", image), ("scan_mask.tif", mask)))
    desk = kit.desk_of(page)
    ((case, card),) = desk.results()
    beside = desk.result(case, card).dice
    assert beside == dice(desk.result(case, card).finding.mask, truth) > 0
    assert {metric.label: metric.value for metric in page.metric}["Dice"] == f"{beside:.3f}"

    page = kit.find_lesions(kit.upload(open_page(api_url), ("scan.tif", image)))
    assert "Dice" not in {metric.label for metric in page.metric}
    page.file_uploader[1].set_value([("truth.tif", kit.tiff(truth[:2].astype(np.uint8)), "image/tiff")]).run()
    assert "they must be equal" in texts(page)
    page.file_uploader[1].set_value([("truth.tif", mask, "image/tiff")]).run()
    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric}["Dice"] == f"{beside:.3f}"


def test_one_broken_file_costs_only_itself_and_stands_in_the_table(
    open_page: Open, api_url: str, kit: SimpleNamespace
) -> None:
    good = {"a.tif": kit.noise(32, 32), "b.tif": kit.noise(2, 32, 48, seed=1)}
    files = [(name, kit.tiff(voxels)) for name, voxels in good.items()]
    page = kit.upload(open_page(api_url), *files, ("c.tif", b"II*\0 no picture"), ("notes.txt", b"hello"))
    assert "c" in texts(page)
    assert "2 cases" in texts(page)
    page = kit.find_lesions(page)
    assert not page.exception
    desk = kit.desk_of(page)
    rows = desk.rows()
    assert [(row["case"], bool(row.get("problem"))) for row in rows] == [("a", False), ("b", False), ("c", True)]
    results = [desk.result(case, card) for case, card in desk.results()]
    with zipfile.ZipFile(io.BytesIO(zip_file(results, rows))) as archive:
        table = list(csv.DictReader(io.StringIO(archive.read("cases.csv").decode())))
        model = results[0].found.task.card.name
        record = json.loads(archive.read(f"b/{model}/result.json"))
        lesions = list(csv.DictReader(io.StringIO(archive.read("lesions.csv").decode())))
        assert {f"a/{model}/a_mask.tif", f"a/{model}/a_overlay.png", f"a/{model}/a_probability.tif"} <= set(
            archive.namelist()
        )
    assert [row["case"] for row in table] == ["a", "b", "c"]
    assert record["result"]["lesions"][0]["voxels"] == results[1].finding.lesions[0].voxels
    assert "Research use only" in record["research_use_only"]
    assert len(lesions) == sum(len(result.finding.lesions) for result in results)
    page.selectbox(key="case").set_value(results[1].case.key).run()
    assert kit.desk_of(page).case.scan.name == "b"


def test_slices_that_are_missing_are_no_neighbours_on_the_server_either(
    open_page: Open, kit: SimpleNamespace, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "with-neighbours", neighbours=0.2)
    files = [(f"CASE_{number}.tif", kit.tiff(kit.noise(32, 48, seed=number))) for number in (1, 4, 7)]
    predictor = Predictor(model, "cpu", "fp32")
    with kit.api([model], device="cpu", precision="fp32") as url:
        page = kit.find_lesions(kit.upload(open_page(url), *files))
    desk = kit.desk_of(page)
    ((case, card),) = desk.results()
    scan = case.scan
    assert not scan.contiguous
    expected = predictor.segment(scan)
    as_a_plain_stack = predictor.segment(replace(scan, notes=()))
    assert (expected.mask != as_a_plain_stack.mask).any()
    result = desk.result(case, card)
    np.testing.assert_array_equal(result.finding.probability, expected.probability)
    np.testing.assert_array_equal(result.finding.mask, expected.mask)


def test_a_stack_goes_to_a_model_of_several_channels(
    open_page: Open, kit: SimpleNamespace, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "of-two", preprocessing=PreprocessSettings(channels=("flair", "post")))
    content = kit.tiff(kit.noise(5, 32, 48, 3), photometric="rgb")
    with kit.api([model], device="cpu", precision="fp32") as url:
        page = kit.find_lesions(kit.upload(open_page(url), ("scan.tif", content)))
    desk = kit.desk_of(page)
    assert [failure.sentence for failure in desk.failed] == []
    ((case, card),) = desk.results()
    expected = Predictor(model, "cpu", "fp32").segment(case.scan)
    np.testing.assert_array_equal(desk.result(case, card).finding.mask, expected.mask)
    assert expected.mask.any()


def test_a_mask_that_cannot_be_written_costs_only_itself(
    open_page: Open, api_url: str, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: Any, capfd: Any
) -> None:
    def encode(mask: np.ndarray, scan: Scan, **how: Any) -> Any:
        if scan.name == "PLANTED":
            raise OutputError("two files would overwrite each other; rename one", source=scan.name)
        return encode_mask(mask, scan, **how)

    monkeypatch.setattr("web_streamlit.downloads.encode_mask", encode)
    files = [(f"{name}.tif", kit.tiff(kit.noise(32, 32, seed=seed))) for seed, name in enumerate(("PLANTED", "good"))]
    page = kit.find_lesions(kit.upload(open_page(api_url), *files))
    assert not page.exception
    desk = kit.desk_of(page)
    bad = next(case for case in desk.reading.cases if case.scan.name == "PLANTED")
    page.selectbox(key="case").set_value(bad.key).run()
    assert not page.exception
    assert "There is no mask to take away: two files would overwrite each other; rename one." in texts(page)
    labels = [button.label for button in page.get("download_button")]
    assert {"Overlay", "JSON", "All, zipped", "All cases, zipped"} <= set(labels)
    assert not [label for label in labels if "ask" in label]
    content = zip_file([desk.result(case, card) for case, card in desk.results()], desk.rows())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        table = list(csv.DictReader(io.StringIO(archive.read("cases.csv").decode())))
    model = next(iter(desk.found))[1]
    assert f"good/{model}/good_mask.tif" in names
    beside = ("PLANTED_overlay.png", "PLANTED_probability.tif", "result.json")
    assert {f"PLANTED/{model}/{name}" for name in beside} <= names
    assert {row["case"]: "rename one" in row["problem"] for row in table} == {"PLANTED": True, "good": False}
    assert "PLANTED" not in caplog.text + "".join(capfd.readouterr())


def test_a_coloured_picture_asks_for_its_channel(open_page: Open, api_url: str, kit: SimpleNamespace) -> None:
    import imagecodecs

    page = kit.upload(open_page(api_url), ("photo.png", imagecodecs.png_encode(kit.noise(40, 40, 3))))
    assert "which channel shows the scan" in texts(page)
    assert "--" not in texts(page)
    page.selectbox(key="channel").set_value("green").run()
    page = kit.find_lesions(page)
    assert not page.exception
    ((_, card),) = kit.desk_of(page).results()
    assert not kit.desk_of(page).failed
    assert card is not None


def test_an_example_is_segmented_and_says_that_it_is_synthetic(
    open_page: Open, api_url: str, kit: SimpleNamespace
) -> None:
    page = open_page(api_url)
    page.segmented_control(key="source").set_value("Example").run()
    page.pills(key="bundled").set_value("Head 1").run()
    assert "synthetic picture" in texts(page)
    page = kit.find_lesions(page)
    assert not page.exception
    assert {metric.label for metric in page.metric} == {"Lesions", "Size", "Dice"}


def test_the_page_says_research_only_and_where_files_go(open_page: Open, api_url: str) -> None:
    page = open_page(api_url)
    html = "".join(str(part.proto.body) for part in page.get("html"))
    assert "Research use only" in html
    assert "stay on this machine" in html
    assert "gone for certain when metseg is ended" in html


def test_two_tabs_know_nothing_of_each_other(open_page: Open, api_url: str, kit: SimpleNamespace) -> None:
    first = kit.find_lesions(kit.upload(open_page(api_url), ("one.tif", kit.tiff(kit.noise(40, 40)))))
    second = kit.upload(open_page(api_url), ("two.tif", kit.tiff(kit.noise(40, 40, seed=1))))
    first.run()
    assert [case.scan.name for case in kit.desk_of(first).reading.cases] == ["one"]
    assert [case.scan.name for case in kit.desk_of(second).reading.cases] == ["two"]
    assert len(kit.desk_of(first).found) == 1
    assert not kit.desk_of(second).found
    assert "one" not in texts(second)


def test_removing_the_files_forgets_them_and_their_results(open_page: Open, api_url: str, kit: SimpleNamespace) -> None:
    page = kit.find_lesions(kit.upload(open_page(api_url), ("one.tif", kit.tiff(kit.noise(40, 40)))))
    next(button for button in page.button if button.label == "Remove these files").click().run()
    assert not page.exception
    assert kit.desk_of(page).reading.cases == ()
    assert kit.desk_of(page).found == {}


@pytest.mark.parametrize("value", ["ftp://x", "nonsense"])
def test_a_senseless_address_is_one_sentence(open_page: Open, value: str) -> None:
    page = open_page(value)
    assert [error.value for error in page.error] == ["METSEG_API_URL must be an address such as http://127.0.0.1:8000."]
    assert not page.exception
