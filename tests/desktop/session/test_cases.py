from pathlib import Path

import pytest

from core.errors import NothingFound
from core.io import find_scans
from core.scan import ScanSource
from desktop.session.cases import Case, Filter, Order, choose, counts, find_cases, make_cases, neighbour, next_open
from desktop.session.results import Summary
from desktop.session.verdicts import State
from metseg import main


@pytest.fixture
def cases() -> list[Case]:
    made = make_cases([ScanSource(f"patient_{number}", (Path("x.tif"),)) for number in (10, 2, 1, 3)])
    for case, state in zip(made, (State.ACCEPTED, State.REOPENED, State.FLAGGED, State.TODO), strict=True):
        case.state = state
    made[0].summary = Summary("m", 1, 10, 0.9, 0)
    made[2].summary = Summary("m", 1, 50, 0.1, 0)
    return made


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def test_cases_are_numbered_as_people_count(cases: list[Case]) -> None:
    assert names(cases) == ["patient_1", "patient_2", "patient_3", "patient_10"]
    assert [case.label(names=False) for case in cases] == ["Case 1", "Case 2", "Case 3", "Case 4"]
    assert cases[3].label(names=True) == "patient_10"


def test_what_is_no_text_in_a_name_is_spelt_out_and_names_stay_apart() -> None:
    path = Path("M\udcfcller.png")
    made = make_cases([ScanSource(name, (path,)) for name in ("M\\udcfcller", "M\udcfcller", "Zoë")])
    assert names(made) == ["M\\udcfcller", "M\\udcfcller-2", "Zoë"]
    assert [case.source.paths for case in made] == [(path,)] * 3


def test_a_mask_named_beside_its_image_and_earlier_results_are_no_cases(
    scans: Path, tiny_model: Path, tmp_path: Path
) -> None:
    source = find_scans(scans)[0]
    image, mask = source.paths[0], source.mask_paths[0]
    assert [source.paths for source in find_cases([mask, image])] == [(image,)]
    assert [source.paths for source in find_cases([mask])] == [(mask,)]
    out = tmp_path / "out"
    assert main(["segment", str(image), "--out", str(out), "--model", str(tiny_model), "--device", "cpu"]) == 0
    results = sorted(out.rglob("*_mask.tif")) + sorted(out.rglob("*_overlay.png"))
    assert [source.paths for source in find_cases([image, *results])] == [(image,)]
    for given in (results, [out], [results[0].parent]):
        with pytest.raises(NothingFound, match="open the folder of their scans"):
            find_cases(given)


def test_the_chips_count_and_take_states(cases: list[Case]) -> None:
    assert list(counts(cases).values()) == [4, 2, 1, 1]
    assert names(choose(cases, Filter.TODO, "", Order.NAME)) == ["patient_2", "patient_10"]
    assert names(choose(cases, Filter.DONE, "", Order.NAME)) == ["patient_1"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("patient_1", ["patient_1", "patient_10"]),
        ("case 4", ["patient_10"]),
        ("FLAG", ["patient_3"]),
        ("none such", []),
    ],
)
def test_a_search_takes_name_number_and_state(cases: list[Case], text: str, found: list[str]) -> None:
    assert names(choose(cases, Filter.ALL, text, Order.NAME)) == found


def test_sorting_puts_what_is_not_known_last(cases: list[Case]) -> None:
    assert names(choose(cases, Filter.ALL, "", Order.BURDEN))[:2] == ["patient_3", "patient_1"]
    assert names(choose(cases, Filter.ALL, "", Order.UNCERTAINTY))[:2] == ["patient_1", "patient_3"]


def test_going_on_finds_the_next_case_that_waits(cases: list[Case]) -> None:
    assert next_open(cases, cases[0], cases, Filter.ALL) is cases[1]
    assert next_open(cases, cases[1], cases, Filter.ALL) is cases[3]
    assert next_open(cases, cases[3], cases, Filter.ALL) is cases[1]
    assert next_open([cases[0], cases[2]], cases[0], [cases[0], cases[2]], Filter.ALL) is None


def test_going_on_stays_in_the_list_whatever_it_was_before(cases: list[Case]) -> None:
    assert next_open(cases, cases[0], [cases[3]], Filter.ALL) is cases[3]
    assert next_open(cases[:1], cases[0], cases[1:], Filter.TODO) is cases[1]
    assert next_open(cases, cases[0], [cases[2]], Filter.FLAGGED) is cases[2]
    assert next_open(cases, cases[0], [cases[2]], Filter.ALL) is None


def test_neighbours_end_where_the_list_does(cases: list[Case]) -> None:
    assert neighbour(cases, cases[1], 1, cases) is cases[2]
    assert neighbour(cases, cases[3], 1, cases) is None
    assert neighbour(cases[:2], cases[3], 1, cases[:2]) is cases[0]
    assert neighbour([], None, 1, []) is None


def test_from_a_case_that_dropped_out_of_the_list_one_goes_on_from_its_old_place(cases: list[Case]) -> None:
    listed = [cases[0], cases[1], cases[3]]
    assert neighbour(cases, cases[2], 1, listed) is cases[3]
    assert neighbour(cases, cases[2], -1, listed) is cases[1]
    assert neighbour(cases, cases[3], 1, cases[:3]) is None
