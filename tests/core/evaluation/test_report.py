"""Reports and comparisons: their numbers are those of the scores, and nothing is asked from anywhere."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.evaluation.compare import build_comparison, common_patients, compare, comparison_markdown
from core.evaluation.join import join_scores, redo_tables
from core.evaluation.metrics import METRIC, METRICS
from core.evaluation.pictures import choose_patients
from core.evaluation.report import report_html
from core.evaluation.scores import patients_csv, read_scores, save_scores, table_markdown
from core.evaluation.summary import figure, show, summarise
from core.scan import UNKNOWN_SPACING, Spacing
from tests.core.evaluation.made import make_scores


def resolve(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def shown_numbers(page: str) -> dict[str, str]:
    found = re.findall(r'<span data-key="([^"]+)">([^<]*)</span>', page)
    assert found
    return dict(found)


def check_numbers(page: str, values: Any) -> int:
    """Every number that says where it comes from is that number, rounded as its measure is."""
    numbers = shown_numbers(page)
    for key, text in numbers.items():
        value = resolve(values, key)
        match key.rsplit(".", 1)[1]:
            case "n" | "undefined" | "min_lesion":
                assert text == str(value), key
            case "share_above_zero":
                assert text == f"{value:.1%}", key
            case part:
                metric = METRIC[part if part in METRIC else key.split(".")[-2]]
                plain = float(text.replace(",", "").replace("−", "-"))
                assert plain == pytest.approx(value, abs=0.5000001 * 10**-metric.digits), key
    return len(numbers)


def test_every_number_of_the_report_is_that_of_the_scores(tmp_path: Path) -> None:
    save_scores(make_scores("first", 1), tmp_path)
    written = json.loads((tmp_path / "scores.json").read_text())
    page = report_html([written])
    assert check_numbers(page, written) >= 5 * len(written["figures"])
    for row in written["patients"]:
        assert f"{row['dice']:.3f}" in page
    tables = re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", page, flags=re.DOTALL)
    figures = re.findall(r"(?<![\w.])\d+\.\d{3}(?!\d)", re.sub(r"<details>.*?</details>", "", tables, flags=re.DOTALL))
    told = {show(value, METRICS[0]) for entry in written["figures"].values() for value in entry.values()}
    told |= {show(value, METRICS[0]) for row in written["strata"]["lesion volume"] for value in row["dice"].values()}
    told |= {show(value, METRICS[0]) for row in written["operating"] for value in row["lesion_sensitivity"].values()}
    assert set(figures) <= told


def test_every_number_of_a_comparison_is_that_of_its_json(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two", "three")):
        (tmp_path / name).mkdir()
        save_scores(make_scores(name, number), tmp_path / name)
    result = compare([tmp_path / name for name in ("one", "two", "three")], tmp_path / "out")
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written == json.loads(json.dumps(result))
    assert check_numbers((tmp_path / "out" / "report.html").read_text(), written) > 50
    assert (tmp_path / "out" / "table.md").read_text() == comparison_markdown(written)
    tables = [read_scores(tmp_path / name)["patients"] for name in ("one", "two", "three")]
    for key in written["pairs"][0]["paired"]:
        values = [[row[key] for row in rows] for rows in zip(*tables, strict=True)]
        known = np.array([of_patient for of_patient in values if None not in of_patient])  # in all three
        for number, scores in enumerate(written["evaluations"]):
            assert scores["figures"][key]["n"] == len(known)
            assert scores["figures"][key]["mean"] == pytest.approx(known[:, number].mean(), abs=1e-6)
        for number, pair in enumerate(written["pairs"], start=1):
            value = pair["paired"][key]
            assert value["n"] == len(known)
            assert value["difference"] == pytest.approx((known[:, number] - known[:, 0]).mean(), abs=1e-6)
    assert "seconds" not in written["pairs"][0]["paired"]


def test_a_patient_without_a_measure_in_one_evaluation_is_left_out_for_it_in_all(tmp_path: Path) -> None:
    scores = make_scores("missed", 1)
    missed = [{**row, "hd95_px": None, "surface_dice_px": None} for row in scores["patients"][:2]]
    for name, rows in (("one", make_scores("one", 0)["patients"]), ("two", missed + scores["patients"][2:])):
        (tmp_path / name).mkdir()
        save_scores({**scores, **summarise(rows), "patients": rows}, tmp_path / name)
    result = compare([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    for key in ("hd95_px", "surface_dice_px"):
        first, second = (one["figures"][key] for one in result["evaluations"])
        paired = result["pairs"][0]["paired"][key]
        assert first["n"] == second["n"] == paired["n"] <= 12
        assert paired["difference"] == pytest.approx(second["mean"] - first["mean"], abs=2e-6)


def test_one_patient_has_no_intervals_anywhere(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        scores = make_scores(name, len(name))
        rows = scores["patients"][1:2]
        save_scores({**scores, **summarise(rows), "patients": rows}, tmp_path / name)
    result = compare([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    dice = read_scores(tmp_path / "one")["figures"]["dice"]
    assert (dice["n"], dice["low"], dice["high"]) == (1, None, None)
    paired = result["pairs"][0]["paired"]["dice"]
    assert (paired["low"], paired["high"], paired["share_above_zero"]) == (None, None, None)
    told = f"| {METRIC['dice'].label} | {dice['mean']:.3f} | – |"
    assert told in (tmp_path / "one" / "table.md").read_text()
    assert f"{dice['mean']:.3f} (–)" in (tmp_path / "out" / "table.md").read_text()
    for page in (report_html([read_scores(tmp_path / "one")]), (tmp_path / "out" / "report.html").read_text()):
        assert not re.search(r"\b(None|nan)\b", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))


@pytest.mark.parametrize("first", ["millimetres", "pixels"])
def test_volumes_are_compared_in_a_unit_that_all_evaluations_know(tmp_path: Path, first: str) -> None:
    spacings = {"millimetres": (5.0, 1.0, 1.0), "pixels": UNKNOWN_SPACING}
    for name, spacing in spacings.items():
        (tmp_path / name).mkdir()
        save_scores(make_scores(name, 1, spacing=spacing), tmp_path / name)
    order = sorted(spacings, key=lambda name: name != first)
    compare([tmp_path / name for name in order], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "found minus true, voxels" in page
    assert " ml<" not in page


def test_joined_scores_name_their_folds_and_are_called_by_what_their_names_share(tmp_path: Path) -> None:
    for fold in range(3):
        split = {"folds": "lgg", "fold": fold, "rule": "by hand", "absent": fold}
        scores = make_scores(f"plain-unet-f{fold}", 1, split=[split])
        rows = [{**row, "patient": f"{row['patient']}-{fold}"} for row in scores["patients"]]
        (tmp_path / str(fold)).mkdir()
        save_scores({**scores, "patients": rows}, tmp_path / str(fold))
    whole = redo_tables([tmp_path / str(fold) for fold in range(3)], tmp_path / "out")
    assert whole["name"] == "plain-unet"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h1>plain-unet on made up</h1>" in page
    assert "Scored: folds 0, 1, 2 of lgg (3 of its patients are not at hand)." in page
    assert page.count("<dd>by hand</dd>") == 1
    said = "Not scored: 3 patients of the fold file without a labelled case in this set."
    assert said in (tmp_path / "out" / "table.md").read_text()
    assert redo_tables([tmp_path / "0"])["name"] == "plain-unet-f0"


def make_fold(fold: int, training: Any, weights: str | None = None) -> dict[str, Any]:
    scores = make_scores(f"unet-f{fold}", fold, 3, training=training)
    scores["models"] = [{**scores["models"][0], "weights_sha256": weights or str(fold)}]
    return {**scores, "patients": [{**row, "patient": f"{row['patient']}-{fold}"} for row in scores["patients"]]}


def test_joined_scores_carry_the_mean_of_the_trainings_curves(tmp_path: Path) -> None:
    watched = "Dice of watched patients"
    curves = (
        {"loss": [[1, 0.9], [2, 0.6], [3, 0.1]], watched: [[2, 0.5]]},
        {"loss": [[1, 0.6], [2, 0.3]]},
        {watched: [[2, 0.25]], "loss": [[1, 0.3], [2, 0.3], [3, 0.2]]},
    )
    parts = [make_fold(fold, training) for fold, training in enumerate(curves)]
    whole = join_scores(parts, "unet")
    assert whole["training"] == {"loss": [[1, 0.6], [2, 0.4]]}
    save_scores(whole, tmp_path)
    page = report_html([read_scores(tmp_path)])
    assert "unet: mean of 3 trainings, at the epochs that all of them have." in page
    assert "epoch 2: 0.4000" in page
    # A part that is a join itself weighs as many trainings as it is of.
    pair = join_scores(parts[:2], "unet")
    assert pair["training"] == {"loss": [[1, 0.75], [2, 0.45]]}
    assert join_scores([pair, parts[2]], "unet")["training"] == whole["training"]
    # One model that scored two sets was trained once.
    twice = join_scores([make_fold(fold, curves[0], "same") for fold in range(2)], "unet")
    assert twice["training"] == curves[0]
    assert "trainings" not in report_html([twice])


@pytest.mark.parametrize("lacking", [None, {}, {"loss": [[7, 0.5]]}, {"Dice of watched patients": [[1, 0.5]]}])
def test_joined_scores_have_no_curve_that_one_part_lacks(lacking: Any) -> None:
    parts = [make_fold(0, {"loss": [[1, 0.9], [2, 0.6]]}), make_fold(1, lacking)]
    whole = join_scores(parts, "unet")
    assert whole["training"] is None
    assert "Course of the training" not in report_html([whole])


@pytest.mark.parametrize("what", ["network", "temperature", "recipe", "preprocessing"])
def test_scores_of_several_recipes_are_not_joined(what: str) -> None:
    run = {"recipe": {"stages": [], "augmentation": {"noise": 0.2}}, "preprocessing": {"clip_limit": 2.0}}
    parts = [{**make_fold(fold, None), "run": run} for fold in range(2)]
    older = {**parts[1], "run": {**run, "recipe": {**run["recipe"], "ends": 1}}}  # says what the other did not know
    assert join_scores([parts[0], older], "unet")["totals"]["patients"] == 6
    if what in run:
        other = {**parts[1], "run": {**run, what: {"clip_limit": -1.0, "loss": "another"}}}
    else:
        other = {**parts[1], "models": [{**parts[1]["models"][0], what: "another"}]}
    with pytest.raises(InputError, match="of another recipe than unet-f0: unet-f1; name scores of one recipe"):
        join_scores([parts[0], other], "unet")
    if what in run:  # as `metseg evaluate` has it, who knows of no run
        for part in (parts[0], other):
            part["models"] = [{**part["models"][0], **part.pop("run")}]
        with pytest.raises(InputError, match="of another recipe"):
            join_scores([parts[0], other], "unet")


def test_a_comparison_names_the_column_beside_each_of_its_cells() -> None:
    evaluations = common_patients([make_scores(name, seed) for seed, name in enumerate(("one", "<two>", "three"))])
    page = report_html(evaluations, comparison=build_comparison(evaluations))
    (table,) = re.findall(r'<table class="stacked">.*?</table>', page, flags=re.DOTALL)
    heads, *rows = [list(row) for row in ElementTree.fromstring(table).iter("tr")]  # noqa: S314
    assert [cell.text for cell in heads[2:5]] == ["one", "<two>", "three"]
    assert len(rows) > 5
    for row in rows:
        assert [cell.get("data-head") for cell in row[1:]] == [head.text for head in heads[1:]]


@pytest.mark.parametrize("count", [1, 2, 14])
@pytest.mark.parametrize("spacing", [UNKNOWN_SPACING, (5.0, 0.5, 0.5), (None, 1.0, 1.0)])
def test_the_page_stands_alone_and_is_well_formed(count: int, spacing: Spacing) -> None:
    scores = make_scores("a <name> & more", 2, count, spacing)
    page = report_html([scores])
    assert re.findall(r"https?:|//\w|@import|url\(|<script|<link|<iframe", page) == []
    assert "<script" not in page
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ElementTree.fromstring(svg)  # noqa: S314
        assert "nan" not in svg
        assert "inf" not in svg
    assert page.count("<section>") == page.count("</section>")
    assert "prefers-color-scheme: dark" in page
    assert "Research use only" in page
    assert "Limits of the model" in page


def test_measures_come_in_the_units_that_are_known() -> None:
    known, unknown = make_scores("a", 1, spacing=(5.0, 0.5, 0.5)), make_scores("a", 1)
    assert {"hd95_mm", "volume_bias_ml", "false_area_mm2"} <= set(known["figures"])
    assert {"hd95_px", "volume_bias_voxels", "false_area_px"} <= set(unknown["figures"])
    assert not {"hd95_px", "volume_bias_voxels"} & set(known["figures"])
    assert known["agreement"]["unit"] == "ml"
    assert unknown["agreement"]["unit"] == "voxels"


def test_what_was_not_held_out_says_so_everywhere() -> None:
    for state, words in (("no", "NOT HELD OUT"), ("unknown", "not known whether these patients are new")):
        scores = make_scores("x", 1, held_out=state)
        assert words in report_html([scores])
        assert words in table_markdown(scores)
        assert f",{state}," in patients_csv(scores)


def test_figures_are_computed_anew_from_patients_and_are_the_same(tmp_path: Path) -> None:
    scores = make_scores("x", 4)
    save_scores(scores, tmp_path)
    assert read_scores(tmp_path) == json.loads((tmp_path / "scores.json").read_text())
    forged = json.loads((tmp_path / "scores.json").read_text())
    forged["figures"]["dice"]["mean"] = 0.99
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    assert read_scores(tmp_path / "forged.json")["figures"]["dice"]["mean"] == scores["figures"]["dice"]["mean"]


def test_a_measure_is_averaged_where_it_is_defined_and_counted_where_not() -> None:
    value = figure([0.5, None, 1.0, 0.0])
    assert (value["n"], value["undefined"], value["mean"], value["median"]) == (3, 1, 0.5, 0.5)
    assert figure([None])["mean"] is None
    scores = make_scores("x", 1)
    assert scores["figures"]["lesion_sensitivity"]["undefined"] == 1


def test_strata_hold_every_patient_once() -> None:
    scores = make_scores("x", 1)
    thirds = scores["strata"]["lesion volume"]
    assert [stratum["dice"]["n"] for stratum in thirds] == [5, 4, 5]
    assert [stratum["from"] <= stratum["to"] for stratum in thirds] == [True] * 3
    assert {stratum["name"]: stratum["dice"]["n"] for stratum in scores["strata"]["site"]} == {
        "CS": 4,
        "DU": 5,
        "HT": 4,
    }
    assert summarise(scores["patients"][:5])["strata"]["lesion volume"] == []


def test_best_median_and_worst_are_by_the_mean_of_the_models() -> None:
    def table(*values: float) -> dict[str, Any]:
        return {"patients": [{"patient": str(number), "dice": value} for number, value in enumerate(values)]}

    one, other = table(0.9, 0.8, 0.1, 0.5, 0.2), table(0.9, 1.0, 0.3, 0.4)
    assert choose_patients([one]) == (("Best", "0"), ("Median", "3"), ("Worst", "2"))
    assert choose_patients([one, other]) == (("Best", "0"), ("Median", "3"), ("Worst", "2"))
    assert choose_patients([table(0.4, 0.6)]) == (("Best", "1"),)


def test_numbers_are_shown_with_their_digits_and_a_real_minus() -> None:
    assert show(-1234.6, METRIC["volume_bias_voxels"]) == "−1,235"
    assert show(0.01234, METRIC["dice"], signed=True) == "+0.012"
    assert show(-0.0001, METRIC["dice"], signed=True) == "0.000"
    assert show(None, METRIC["dice"]) == "–"


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    scores = make_scores("x", 1)
    scores["patients"][0] = {**scores["patients"][0], "patient": "=1+1"}
    assert "'=1+1," in patients_csv(scores)
