import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.batch.jobs import plan_jobs
from core.batch.request import make_request
from core.batch.run import run_batch
from core.errors import AmbiguousSeries, DeviceLost
from core.inference import Predictor
from core.io import find_scans, read_scan
from core.model_store import load_card
from desktop.session.opened import open_case
from desktop.session.results import find, load_result, result_key
from desktop.session.review import Model
from desktop.session.segmenter import DIED, Ask, Message, Segmenter
from desktop.session.worker import Worker


def test_the_worker_finds_what_metseg_segment_finds(
    made_cases: Path, made_results: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import tifffile

    request = make_request(tiny_model, device="cpu", precision="fp32")
    run_batch(plan_jobs([made_cases], tmp_path / "out"), request, tmp_path / "out")
    card = load_card(tiny_model)
    for source in find_scans(made_cases):
        scan = read_scan(source)
        result = load_result(made_results, result_key(scan.sha256, card, None, "fp32"))
        mask = find(result, card.threshold, scan).mask
        assert mask.any()
        for name, part in zip(scan.slice_names, mask, strict=True):
            written = tifffile.imread(tmp_path / "out" / source.name / f"{name}_mask.tif")
            assert np.array_equal(written, part.astype(np.uint8) * 255)


def test_a_second_time_nothing_is_computed(
    scans: Path, tiny_model: Path, results: Path, work: Callable[..., list[dict[str, Any]]]
) -> None:
    told = work(scans, tiny_model, results)
    assert [line["event"] for line in told] == ["done"] * 3
    assert all(line["summary"]["lesions"] > 0 for line in told)


def test_a_bad_case_fails_alone_and_names_no_file(
    scans: Path, tiny_model: Path, results: Path, work: Callable[..., list[dict[str, Any]]]
) -> None:
    bad = find_scans(scans)[1]
    bad.paths[2].write_bytes(b"no picture")
    told = work(scans, tiny_model, results)
    assert [line["event"] for line in told] == ["done", "failed", "done"]
    assert bad.name not in json.dumps(told[1])


def test_where_slices_are_missing_the_process_finds_what_metseg_segment_finds(
    scans: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model", neighbours=0.3)
    whole = find_scans(scans)[0]
    for path in (whole.paths[1], whole.mask_paths[1]):
        path.unlink()
    source = find_scans(scans)[0]
    assert not read_scan(source).contiguous
    expected = Predictor(model, "cpu", "fp32").segment(read_scan(source))
    ears = Ears()
    try:
        ears.segmenter.submit(Ask(source, None, model, "cpu", "fp32", None, tmp_path / "results"))
        told = end(ears).values
    finally:
        ears.segmenter.close()
    assert np.array_equal(load_result(tmp_path / "results", told["key"]).probability, expected.probability)
    assert told["summary"]["lesions"] == len(expected.lesions)
    opened = open_case(source, Model(model, load_card(model)), lambda *_: (None, None), "fp32", tmp_path / "results")
    assert np.array_equal(opened.finding.mask, expected.mask)


def test_a_series_that_its_key_does_not_name_any_more_is_not_segmented(
    sequences: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    source = find_scans(sequences("flair", "t1"))[0]
    with pytest.raises(AmbiguousSeries) as asked:
        read_scan(source)
    ears = Ears()
    ask = Ask(source, "1", tiny_model, "cpu", "fp32", None, tmp_path / "results", asked.value.choices)
    try:
        ears.segmenter.submit(ask)
        assert end(ears).event == "done"
        sequences("adc", "flair", "t1")
        ears.segmenter.submit(ask)
        message = end(ears)
    finally:
        ears.segmenter.close()
    assert (message.event, message.values["code"]) == ("failed", "ambiguous-series")


class Ears:
    """Takes in a segmenter's messages where it is waited for."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._news = threading.Condition()
        self.segmenter = Segmenter(self._tell)

    def _tell(self, message: Message) -> None:
        with self._news:
            self.messages.append(message)
            self._news.notify()

    def next(self) -> Message:
        with self._news:
            assert self._news.wait_for(lambda: self.messages, timeout=90)
            message = self.messages.pop(0)
        self.segmenter.heard(message)
        return message


def end(ears: Ears) -> Message:
    """The message that ends the running job."""
    while (message := ears.next()).event == "progress":
        pass
    return message


def test_the_process_takes_the_shown_case_first_and_comes_back_when_it_was_killed(
    scans: Path, tiny_model: Path, results: Path
) -> None:
    ears = Ears()
    segmenter = ears.segmenter
    asks = [Ask(source, None, tiny_model, "cpu", "fp32", None, results) for source in find_scans(scans)]
    first, second, third = (ask.source.name for ask in asks)
    try:
        segmenter.submit(asks[0])
        segmenter.submit(asks[1])
        segmenter.submit(asks[2], first=True)
        assert (segmenter.running, segmenter.waiting) == (first, (third, second))
        message = end(ears)
        assert message.event == "done"
        assert (results / f"{message.values['key']}.npz").is_file()
        assert segmenter.running == third
        assert segmenter.progress()[2] is not None
        segmenter.cancel()
        assert segmenter.waiting == ()
        assert end(ears).event in ("cancelled", "done")
        assert not segmenter.busy

        segmenter._process.kill()
        segmenter.submit(asks[1])
        if end(ears).event == DIED:  # it was asked before its death was known
            segmenter.submit(asks[1])
            assert end(ears).event == "done"
    finally:
        segmenter.close()


def test_a_process_whose_device_failed_ends_so_that_the_next_case_begins_another(
    scans: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise DeviceLost("the device failed")

    monkeypatch.setattr(Predictor, "segment", fails)
    source = find_scans(scans)[0]
    request = {"job": 1, "name": source.name, "paths": [str(path) for path in source.paths], "model": str(tiny_model)}
    request |= {"device": "cpu", "precision": "fp32", "channel": None, "series": None, "results": str(tmp_path / "new")}
    with pytest.raises(SystemExit):
        Worker(io.StringIO()).do(request)


def test_a_cancelled_job_is_not_begun(scans: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = io.StringIO()
    worker = Worker(out)
    worker.cancel(1)
    source = find_scans(scans)[0]
    request = {"job": 1, "name": source.name, "paths": [str(path) for path in source.paths], "model": str(tiny_model)}
    worker.do(
        {
            **request,
            "device": "cpu",
            "precision": "fp32",
            "channel": None,
            "series": None,
            "results": str(tmp_path / "new"),
        }
    )
    assert json.loads(out.getvalue())["event"] == "cancelled"
    assert not (tmp_path / "new").exists()
