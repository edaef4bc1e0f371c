from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from core.batch.request import make_request
from core.errors import ModelNotFound, UsageError


def test_what_was_not_asked_comes_from_the_card(tiny_model: Path) -> None:
    request = make_request(tiny_model)
    assert request.threshold == request.card.threshold
    assert request.grid == request.card.preprocessing.grid


def test_asking_for_the_default_in_words_is_the_same_request(tiny_model: Path) -> None:
    assert make_request(tiny_model, threshold=0.5, grid="auto").settings() == make_request(tiny_model).settings()


def test_a_channel_in_digits_is_an_index(tiny_model: Path) -> None:
    assert make_request(tiny_model, channel="2").settings()["channel"] == 2
    assert make_request(tiny_model, channel="flair").settings()["channel"] == "flair"


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": math.nan}, {"threshold": -0.1}, {"threshold": 2}, {"min_lesion": -1}, {"grid": "round"},
        {"device": "banana"}, {"device": "cuda:"}, {"precision": "fp99"}, {"form": "bmp"},
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(tiny_model: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make_request(tiny_model, **options)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        make_request(tmp_path / "nowhere")
