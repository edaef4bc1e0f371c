"""A trained model takes a shipped one's place only where it is better."""

import json
from dataclasses import asdict, replace

import pytest

from core.errors import InputError
from core.evaluation.calibration import calibrate
from core.evaluation.evaluate import evaluate
from core.evaluation.folds import Folds, load_folds, save_folds
from core.evaluation.scores import read_scores
from core.model_store import SHIPPED, load_card, shipped_models
from training import ship
from training.options import Stage, TrainOptions
from training.train import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_card_names_the_folds_of_its_patients(name):
    card = load_card(SHIPPED / name)
    told = card.metrics["folds"]
    folds = load_folds(told["name"])
    assert {patient for fold in told["scored"] for patient in folds.test(fold)} == set(card.data["patients"])


@pytest.fixture
def options(discs, small_preprocessing, tmp_path, monkeypatch):
    names = sorted(path.name.rsplit("_", 1)[0] for path in discs.iterdir())
    save_folds(Folds("discs", "by patient", (tuple(names[:3]), tuple(names[3:]))), tmp_path / "folds.json")
    monkeypatch.setattr(ship, "FOLDS", str(tmp_path / "folds.json"))
    monkeypatch.setattr(ship, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(ship, "RESULTS", tmp_path / "results")
    return TrainOptions(
        data=discs, out=tmp_path / "run", network="attention-unet", filters=(2, 3), folds=ship.FOLDS, inner=0.0,
        stages=(Stage(1, 2, 32, 1e-2),), batch=4, threads=1, precision="fp32", cache=tmp_path / "cache",
        preprocessing=small_preprocessing,
    )  # fmt: skip


@pytest.fixture
def run(options):
    train(options)
    return options.out


def test_the_first_model_is_shipped_and_an_equal_one_is_not(run, discs, tmp_path, capsys):
    ship.main([str(discs), f"small={run}"])
    card = load_card(tmp_path / "shipped" / "small")
    scores = read_scores(tmp_path / "results" / "small" / "scores.json")
    assert (card.version, card.licence, card.preprocessing.reference_mm) == ("1", ship.LICENCE, ship.REFERENCE_MM)
    assert card.metrics["figures"]["dice"]["mean"] == scores["figures"]["dice"]["mean"]
    assert card.metrics["folds"] == {"name": "discs", "scored": [0]}
    assert scores["run"]["minutes"] >= 0
    assert (tmp_path / "shipped" / "default.txt").read_text() == "small\n"
    before = (tmp_path / "shipped" / "small" / "card.json").read_bytes()
    ship.main([str(discs), f"small={run}"])
    assert (tmp_path / "shipped" / "small" / "card.json").read_bytes() == before
    assert "default: small" in capsys.readouterr().out


def test_a_better_model_raises_the_version(run, discs, tmp_path):
    ship.main([str(discs), f"small={run}"])
    record = tmp_path / "results" / "small" / "scores.json"
    scores = json.loads(record.read_text())
    for row in scores["patients"]:
        row["dice"] = -0.1
    record.write_text(json.dumps(scores))
    ship.main([str(discs), f"small={run}"])
    assert load_card(tmp_path / "shipped" / "small").version == "2"


def test_a_model_of_everybody_quotes_the_folds_of_its_recipe_and_is_calibrated_by_them(
    run, options, tmp_path, monkeypatch
):
    results = tmp_path / "folds"
    results.mkdir()
    for fold in (0, 1):
        out = tmp_path / f"f{fold}"
        train(replace(options, fold=fold, out=out))
        scores = evaluate(out / "model", options.data, out / "evaluation", folds=options.folds, fold=fold)
        card = load_card(out / "model")
        older = {name: strength for name, strength in card.recipe["augmentation"].items() if name != "gamma"}
        recipe = {**card.recipe, "augmentation": older}
        told = {"recipe": recipe, "preprocessing": asdict(card.preprocessing)}
        (results / f"f{fold}.json").write_text(json.dumps({**scores, "run": told}))
        if not fold:
            everybody = train(replace(options, fold=None, out=tmp_path / "all"))
            with pytest.raises(InputError, match="finish all folds"):
                ship.ship("small", tmp_path / "all", options.data, results)
    ship.main([str(options.data), "--folds", str(results), f"small={tmp_path / 'all'}"])
    card = load_card(tmp_path / "shipped" / "small")
    assert card.weights == load_card(everybody.model).weights
    assert card.metrics["measured"].startswith("out of fold")
    assert card.metrics["figures"]["dice"]["n"] == len(card.data["patients"])
    assert card.metrics["folds"] == {"name": "discs", "scored": [0, 1]}
    assert card.temperature != 1.0
    assert card.metrics["calibration_error_with_temperature"]["mean"] > 0
    doubtful = calibrate(sorted(results.iterdir()))
    doubtful["cross_entropy"]["difference"]["high"] = 1e-6
    monkeypatch.setattr(ship, "calibrate", lambda paths: doubtful)
    ship.ship("doubted", tmp_path / "all", options.data, results)
    assert load_card(tmp_path / "shipped" / "doubted").temperature == 1.0
    for name, change in (("loss", {"loss": "focal-tversky"}), ("filters", {"filters": (2, 4)})):
        other = train(replace(options, fold=None, out=tmp_path / name, **change))
        with pytest.raises(InputError, match="of this run's recipe"):
            ship.ship("small", other.model.parent, options.data, results)
