"""A trained model takes a shipped one's place only where it is better."""

import json

import pytest

from core.evaluation.folds import Folds, save_folds
from core.evaluation.scores import read_scores
from core.model_store import load_card
from training import ship
from training.options import Stage, TrainOptions
from training.train import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def run(discs, small_preprocessing, tmp_path, monkeypatch):
    names = sorted(path.name.rsplit("_", 1)[0] for path in discs.iterdir())
    save_folds(Folds("discs", "by patient", (tuple(names[:3]), tuple(names[3:]))), tmp_path / "folds.json")
    monkeypatch.setattr(ship, "FOLDS", str(tmp_path / "folds.json"))
    monkeypatch.setattr(ship, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(ship, "RESULTS", tmp_path / "results")
    options = TrainOptions(
        data=discs, out=tmp_path / "run", network="attention-unet", filters=(2, 3), folds=ship.FOLDS, inner=0.0,
        stages=(Stage(1, 2, 32, 1e-2),), batch=4, threads=1, precision="32-true", cache=tmp_path / "cache",
        preprocessing=small_preprocessing,
    )  # fmt: skip
    train(options)
    return options.out


def test_the_first_model_is_shipped_and_an_equal_one_is_not(run, discs, tmp_path, capsys):
    ship.main([str(discs), f"small={run}"])
    card = load_card(tmp_path / "shipped" / "small")
    scores = read_scores(tmp_path / "results" / "small.json")
    assert (card.version, card.licence, card.preprocessing.reference_mm) == ("1", ship.LICENCE, ship.REFERENCE_MM)
    assert card.metrics["figures"]["dice"]["mean"] == scores["figures"]["dice"]["mean"]
    assert scores["run"]["minutes"] >= 0
    assert (tmp_path / "shipped" / "default.txt").read_text() == "small\n"
    before = (tmp_path / "shipped" / "small" / "card.json").read_bytes()
    ship.main([str(discs), f"small={run}"])
    assert (tmp_path / "shipped" / "small" / "card.json").read_bytes() == before
    assert "default: small" in capsys.readouterr().out


def test_a_better_model_raises_the_version(run, discs, tmp_path):
    ship.main([str(discs), f"small={run}"])
    path = tmp_path / "shipped" / "small" / "card.json"
    card = json.loads(path.read_text())
    card["metrics"]["figures"]["dice"]["mean"] = -0.1
    path.write_text(json.dumps(card))
    ship.main([str(discs), f"small={run}"])
    assert load_card(path.parent).version == "2"
