"""The figures that README and docs quote are those that the committed scores give."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from core.evaluation.compare import build_comparison, common_patients
from core.evaluation.join import join_scores
from core.evaluation.scores import patients_csv, read_scores, table_markdown

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results"
README, ACCURACY = (ROOT / name for name in ("README.md", "docs/accuracy.md"))
NETWORKS = {"Attention U-Net": "attention-unet", "Nested U-Net": "nested-unet"}


def rows(page: Path, begin: str) -> list[list[float]]:
    """The numbers of every table row that begins so."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {begin}")]
    return [[float(number) for number in re.findall(r"-?\d+\.\d+", line)] for line in lines]


def folds_of(network: str, results: str = "lgg-folds") -> list[dict[str, Any]]:
    return [read_scores(RESULTS / results / f"plain-{network}-f{fold}.json") for fold in range(5)]


def figures(scores: dict[str, Any], *names: str) -> list[float]:
    return [scores["figures"]["dice"][name] for name in names]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_readme_quotes_the_shipped_models_scores(name: str) -> None:
    shipped = read_scores(RESULTS / "shipped" / NETWORKS[name])["figures"]
    whole, by_fold = rows(README, name)
    assert whole[:4] == pytest.approx([shipped["dice"][key] for key in ("mean", "low", "high", "median")], abs=6e-4)
    assert whole[4] == pytest.approx(shipped["lesion_sensitivity"]["mean"], abs=6e-4)
    assert whole[5] == pytest.approx(shipped["false_positives_per_scan"]["mean"], abs=0.051)
    assert by_fold == pytest.approx(
        [value for scores in folds_of(NETWORKS[name]) for value in figures(scores, "mean", "median")], abs=6e-4
    )


@pytest.mark.parametrize("network", NETWORKS.values())
def test_the_shipped_models_scores_are_those_of_the_five_folds(network: str) -> None:
    record = RESULTS / "shipped" / network
    shipped = read_scores(record)
    assert shipped["patients"] == join_scores(folds_of(network), network)["patients"]
    assert (record / "patients.csv").read_bytes().decode() == patients_csv(shipped)
    assert (record / "table.md").read_text(encoding="utf-8") == table_markdown(shipped)


def test_the_readmes_difference_between_the_networks_is_the_comparisons() -> None:
    paired = common_patients([read_scores(RESULTS / "shipped" / network) for network in NETWORKS.values()])
    (pair,) = build_comparison(paired)["pairs"]
    found = pair["paired"]["dice"]
    words = re.search(r"Attention U-Net has\s+(\S+) less\s+\((\S+) to (\S+?)\)", README.read_text(encoding="utf-8"))
    assert words is not None
    quoted = [float(number) for number in words.groups()]
    assert quoted == pytest.approx([found[key] for key in ("difference", "low", "high")], abs=6e-4)


@pytest.mark.parametrize(
    ("begin", "number", "results", "network"),
    [
        ("Dice of the volume, mean", 0, "lgg-folds", "attention-unet"),
        ("Dice of the volume, mean", 1, "lgg-folds", "nested-unet"),
        ("with one cycle at full resolution instead of two, mean", 0, "one-cycle-attention", "attention-unet"),
        ("with CLAHE and one cycle at full resolution, mean", 0, "one-cycle-nested", "nested-unet"),
        ("with CLAHE, mean", 0, "clahe-nested", "nested-unet"),
        ("that, each slice by itself, mean", 0, "slice-by-slice", "attention-unet"),
        ("without full resolution, each slice by itself, mean", 0, "half-resolution", "attention-unet"),
    ],
)
def test_the_tables_of_the_folds_are_the_committed_scores(begin: str, number: int, results: str, network: str) -> None:
    folds = folds_of(network, results)
    whole = join_scores(folds, "all")
    means = [*(value for scores in folds for value in figures(scores, "mean")), *figures(whole, "mean", "low", "high")]
    assert rows(ACCURACY, begin)[number] == pytest.approx(means, abs=6e-4)
    lines = ACCURACY.read_text(encoding="utf-8").splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith(f"| {begin}")]
    medians = [float(value) for value in re.findall(r"\d+\.\d+", lines[places[number] + 1])]
    everyone = [row["dice"] for scores in folds for row in scores["patients"]]
    wanted = [*(value for scores in folds for value in figures(scores, "median")), statistics.median(everyone)]
    assert medians == pytest.approx(wanted, abs=6e-4)
