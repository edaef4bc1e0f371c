"""A model to ship: the same weights, and a card that quotes only what was measured with them."""

import json

import pytest

from core.errors import InputError
from core.evaluation.evaluate import Settings, evaluate
from core.evaluation.publish import publish
from core.model_store import load_card, load_network
from core.phantom import write_phantom_case

SAID = {"version": "3", "data": {"set": "phantoms"}, "limits": ["Learnt nothing."], "licence": "none"}


@pytest.fixture(scope="module")
def scored(make_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("publish")
    held = write_phantom_case(1, folder / "set", slices=2, size=64).name
    model = make_model(folder / "run", "attention-unet", data={"patients": ["somebody"], "held_out": [held]})
    return model, evaluate(model, folder / "set", folder / "out", settings=Settings(device="cpu", precision="fp32"))


def test_the_card_quotes_the_evaluation_and_the_weights_stay(scored, tmp_path):
    model, scores = scored
    publish(model, scores, tmp_path / "shipped", **SAID)
    card = load_card(tmp_path / "shipped")
    assert (card.name, card.version, card.licence) == ("shipped", "3", "none")
    assert card.data == {"set": "phantoms", **load_card(model).data}
    assert card.metrics["figures"]["dice"]["mean"] == scores["figures"]["dice"]["mean"]
    assert card.weights == load_card(model).weights
    load_network(tmp_path / "shipped")
    assert json.loads((tmp_path / "shipped" / "card.json").read_text())["limits"] == ["Learnt nothing."]


def test_scores_of_other_weights_or_of_known_patients_are_not_quoted(scored, make_model, tmp_path):
    model, scores = scored
    other = make_model(tmp_path / "other", "attention-unet", seed=1)
    with pytest.raises(InputError, match="other weights"):
        publish(other, scores, tmp_path / "shipped", **SAID)
    folds = [{**scores["models"][0], "weights_sha256": digit, "network": "nested-unet"} for digit in "12"]
    with pytest.raises(InputError, match="another network"):
        publish(model, {**scores, "models": folds}, tmp_path / "shipped", **SAID)
    with pytest.raises(InputError, match="not of held-out patients"):
        publish(model, {**scores, "held_out": "no"}, tmp_path / "shipped", **SAID)
    assert not (tmp_path / "shipped").exists()
