from pathlib import Path
from typing import Any

import pytest

from core.scan import ScanSource
from desktop.session.segmenter import Ask, Message, Segmenter

Sent = list[dict[str, Any]]


def ask(name: str = "case", model: str = "model", channel: str | None = None) -> Ask:
    return Ask(ScanSource(name, (Path(name),)), None, Path(model), "cpu", "fp32", channel, Path("results"))


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def segmenter(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    """One whose process is never started: what it would be told is in `sent`."""
    made = Segmenter(lambda message: None)
    monkeypatch.setattr(made, "_send", sent.append)
    return made


def test_what_is_asked_again_while_it_runs_is_done_once(segmenter: Segmenter, sent: Sent) -> None:
    segmenter.submit(ask())
    segmenter.submit(ask(), first=True)
    assert (len(sent), segmenter.waiting) == (1, ())
    assert segmenter.heard(Message(1, "done", {})) == ask()


@pytest.mark.parametrize("said", ["cancelled", "done", "failed"])
def test_a_case_that_was_stopped_can_be_asked_for_again_at_once(segmenter: Segmenter, sent: Sent, said: str) -> None:
    segmenter.submit(ask())
    segmenter.cancel()
    segmenter.submit(ask(), first=True)
    assert segmenter.heard(Message(1, "progress", {"done": 1, "total": 2})) is None
    assert segmenter.heard(Message(1, said, {})) is None  # whatever it says, it was stopped
    assert [values.get("job", 0) for values in sent] == [1, 0, 2]
    assert segmenter.heard(Message(2, "done", {})) == ask()
    assert not segmenter.busy


@pytest.mark.parametrize("other", [ask(model="other"), ask(channel="1")])
def test_a_case_asked_with_another_model_or_channel_is_done_anew(segmenter: Segmenter, sent: Sent, other: Ask) -> None:
    segmenter.submit(ask())
    segmenter.submit(ask("next"))
    segmenter.submit(other, first=True)
    assert sent[1] == {"cancel": 1}
    assert segmenter.heard(Message(1, "done", {})) is None
    assert (sent[2]["model"], sent[2]["channel"]) == (str(other.model), other.channel)
    assert segmenter.waiting == ("next",)


def test_what_waits_keeps_its_place_and_is_done_as_asked_last(segmenter: Segmenter, sent: Sent) -> None:
    for name in ("running", "one", "two"):
        segmenter.submit(ask(name))
    segmenter.submit(ask("one", channel="1"))
    assert segmenter.waiting == ("one", "two")
    segmenter.submit(ask("two"), first=True)
    assert segmenter.waiting == ("two", "one")
    for job in (1, 2):
        segmenter.heard(Message(job, "done", {}))
    assert (sent[-1]["name"], sent[-1]["channel"]) == ("one", "1")


@pytest.mark.parametrize(
    ("seconds", "done", "makes_way"), [(60, 1, True), (60, 9, False), (1, 1, False), (60, 0, True)]
)
def test_what_takes_long_makes_way_for_the_case_that_is_looked_at_and_is_begun_anew(
    segmenter: Segmenter, sent: Sent, monkeypatch: pytest.MonkeyPatch, seconds: float, done: int, makes_way: bool
) -> None:
    now = [100.0]
    monkeypatch.setattr("desktop.session.segmenter.time.monotonic", lambda: now[0])
    segmenter.submit(ask("large"))
    for slices in {0, done}:
        segmenter.heard(Message(1, "progress", {"done": slices, "total": 10}))
        now[0] += seconds if slices == done else 0
    segmenter.submit(ask("next"))
    segmenter.submit(ask("shown"), first=True)
    assert segmenter.waiting == (("shown", "large", "next") if makes_way else ("shown", "next"))
    assert ({"cancel": 1} in sent) is makes_way
    segmenter.heard(Message(1, "cancelled" if makes_way else "done", {}))
    assert sent[-1]["name"] == "shown"
    assert segmenter.progress()[:2] == ((0, 3) if makes_way else (1, 3))
