import base64
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import Cancelled, OutputError, UsageError
from core.io import find_scans, read_mask, read_scan
from core.scan import ScanSource
from desktop.session.export import Entry, export_review
from desktop.session.results import image_id, mask_hash, pack_mask, unpack_mask
from desktop.session.verdicts import Binding, Event, Kind


@pytest.fixture
def entries(scans: Path) -> list[Entry]:
    made = []
    for number, source in enumerate(find_scans(scans), 1):
        scan, mask = read_scan(source), read_mask(source)
        digest = mask_hash(mask)
        about = Binding(scan.sha256, digest, "a model", "weights", 0.5)
        event = Event(number, "2026-01-01T12:00:00+00:00", "someone", source.name, about, Kind.ACCEPT)
        made.append(
            Entry(
                source,
                (None,),
                f"Case {number}",
                "accepted",
                "=1+1",
                event,
                scan.sha256,
                (pack_mask(mask), mask.shape),
                "a model",
                0.5,
                digest,
                write=True,
            )
        )
    made[1] = replace(made[1], state="rejected", write=False)
    made[2] = replace(made[2], state="to do", event=None, mask=None, write=False)
    return made


def judged(source: ScanSource, image: str, mask: NDArray[np.bool_]) -> Entry:
    """A rejected case."""
    digest = mask_hash(mask)
    about = Binding(image, digest, "a model", "weights", 0.5)
    event = Event(1, "2026-01-01T12:00:00+00:00", "someone", source.name, about, Kind.REJECT)
    packed = pack_mask(mask), mask.shape
    return Entry(source, (None,), "Case 1", "rejected", "", event, image, packed, "a model", 0.5, digest, write=False)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_accepted_masks_tables_and_report_are_written(entries: list[Entry], scans: Path, tmp_path: Path) -> None:
    import tifffile

    done: list[tuple[int, int]] = []
    exported = export_review(entries, [scans], tmp_path / "out", lambda *step: done.append(step))
    assert (exported.masks, exported.problems, done[-1]) == (1, (), (3, 3))
    names = [entry.source.name for entry in entries]
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == [names[0]]
    scan = read_scan(entries[0].source)
    for stem, part in zip(scan.slice_names, unpack_mask(*entries[0].mask), strict=True):
        written = tifffile.imread(tmp_path / "out" / "masks" / names[0] / f"{stem}_mask.tif")
        assert np.array_equal(written, part.astype(np.uint8) * 255)
    rows = table(tmp_path / "out" / "verdicts.csv")
    assert [row["state"] for row in rows] == ["accepted", "rejected", "to do"]
    assert [row["dice"] for row in rows] == ["1", "1", ""]
    assert rows[0]["note"] == "'=1+1"  # no spreadsheet takes it for a formula
    assert {row["case"] for row in table(tmp_path / "out" / "lesions.csv")} == set(names[:2])


def test_the_report_is_one_file_that_asks_for_nothing_and_names_nobody(
    entries: list[Entry], scans: Path, tmp_path: Path
) -> None:
    entries[0] = replace(entries[0], note="<script>alert(1)</script>")
    export_review(entries, [scans], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    assert "http" not in page
    assert "<script" not in page
    assert "Research use only" in page
    assert "Case 1" in page
    assert not any(entry.source.name in page for entry in entries)


def test_nothing_is_written_among_the_scans_or_over_something(
    entries: list[Entry], scans: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        export_review(entries, [scans], scans / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="holds something"):
        export_review(entries, [scans], tmp_path / "full")
    (tmp_path / "file").write_text("keep")
    with pytest.raises(OutputError):
        export_review(entries, [scans], tmp_path / "file" / "out")


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_a_case_that_is_gone_or_changed_is_named_and_the_others_are_written(
    entries: list[Entry], scans: Path, tmp_path: Path, harm: str
) -> None:
    entries[1] = replace(entries[1], state="accepted", write=True)
    path = entries[0].source.paths[0]
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(entries[0].source.paths[1].read_bytes())
    exported = export_review(entries, [scans], tmp_path / "out")
    assert (exported.masks, exported.problems) == (1, ("Case 1",))
    assert table(tmp_path / "out" / "verdicts.csv")[0]["problem"]


def test_it_stops_when_asked(entries: list[Entry], scans: Path, tmp_path: Path) -> None:
    stop: Callable[[], bool] = lambda: True  # noqa: E731
    with pytest.raises(Cancelled):
        export_review(entries, [scans], tmp_path / "out", cancelled=stop)


@pytest.mark.parametrize("harm", ["damaged", "another", "gone"])
def test_a_mask_that_is_not_the_judged_one_is_named_and_costs_no_other_case(
    entries: list[Entry], scans: Path, tmp_path: Path, harm: str
) -> None:
    assert entries[0].mask is not None
    shape = entries[0].mask[1]
    masks = {"damaged": (b"damaged", shape), "another": (pack_mask(np.ones(shape, np.bool_)), shape), "gone": None}
    entries[0] = replace(entries[0], mask=masks[harm])
    entries[1] = replace(entries[1], state="accepted", write=True)
    exported = export_review(entries, [scans], tmp_path / "out")
    assert (exported.masks, exported.problems) == (1, ("Case 1",))
    problem = table(tmp_path / "out" / "verdicts.csv")[0]["problem"]
    assert ("not in the record" if harm == "gone" else "damaged") in problem


def test_a_case_that_nobody_segmented_is_not_told_to_be_free_of_lesions(
    entries: list[Entry], scans: Path, tmp_path: Path
) -> None:
    assert entries[0].event is not None
    unseen = replace(entries[0].event, about=Binding(entries[2].image or ""), kind=Kind.FLAG)
    entries[2] = replace(entries[2], state="flagged", event=unseen, model="", threshold=None, mask_sha256="")
    entries[1] = replace(entries[1], mask=None)  # not in the record any more
    export_review(entries, [scans], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    _, first, gone, unsegmented = page.split("<div class=case>")
    assert "the slice with most lesion" in first
    assert "not in the record" in gone
    assert "not segmented" in unsegmented
    assert "the middle slice" in gone
    assert "the middle slice" in unsegmented
    assert "0 lesions" not in page


@pytest.mark.parametrize("size", [(1000, 1000), (1000, 50)])
def test_the_smallest_lesion_is_seen_in_the_report(size: tuple[int, int], tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    cv2.imwrite(str(folder / "head.png"), np.full(size, 60, np.uint8))
    (source,) = find_scans(folder)
    for row in range(500, 504):  # of neighbouring rows a smaller picture holds only some
        mask = np.zeros((1, *size), np.bool_)
        mask[0, row, 20] = True
        entry = judged(source, read_scan(source).sha256, mask)
        export_review([entry], [folder], tmp_path / f"out-{row}")
        page = (tmp_path / f"out-{row}" / "report.html").read_text(encoding="utf-8")
        content = base64.b64decode(page.partition("base64,")[2].partition('"')[0])
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).astype(int)
        assert (picture[..., 2] - picture[..., 0]).max() > 150  # amber on grey


def test_a_series_that_cannot_be_read_keeps_no_other_from_the_export(
    sequences: Callable[..., Path], tmp_path: Path
) -> None:
    folder = sequences("flair", "t1")
    (source,) = find_scans(folder)
    scan = read_scan(source, series="2")
    mask = np.zeros(scan.shape, np.bool_)
    mask[0, 4:6, 4:6] = True
    entry = replace(judged(source, image_id(scan, "2"), mask), series=("9", "1", "2"), state="accepted", write=True)
    exported = export_review([entry], [folder], tmp_path / "out")
    assert (exported.masks, exported.problems) == (1, ())
    gone = replace(entry, series=("9", "1"))
    assert export_review([gone], [folder], tmp_path / "gone").problems == (entry.label,)
