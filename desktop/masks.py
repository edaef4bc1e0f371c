"""The masks at the desk: asked for, taken when they come, cut at another threshold, made by another model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import ChannelNeeded
from core.measure.dice import dice
from desktop import facts
from desktop.remembered import state_of
from desktop.session.cases import Case
from desktop.session.faults import explain
from desktop.session.opened import Opened, kept_result
from desktop.session.results import Finding, Result, find
from desktop.session.review import Model, Review
from desktop.tasks import make_timer

if TYPE_CHECKING:
    from desktop.desk import Desk

COUNT_LESIONS_MS = 180
Answer = tuple[Result, Finding]


class Masks:
    """What the model found in the cases of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._count = make_timer(desk, COUNT_LESIONS_MS, self._count_lesions)
        self._uncounted: Opened | None = None  # whose lesions could not be counted

    def leave(self) -> None:
        """Another case will be shown: a threshold that was only tried is forgotten."""
        if self._count.isActive():
            self._count.stop()
            self._count_lesions()

    def segment_all(self) -> None:
        """Segment every case that is not."""
        if self._desk.review is None or self._desk.review.model is None:
            self._desk.told.emit(self._desk.model_problem or "There is nothing to segment.")
            return
        self._desk.segmenting.automatic, self._desk.segmenting.stopped = True, False
        for case in self._desk.review.cases:
            if case.summary is None:
                self._desk.segmenting.add(case)
        self.show_notice()

    def found(self, name: str) -> None:
        """A case was segmented: take the result if the case is in memory, and draw it if it is shown."""
        review, reader = self._desk.review, self._desk.reader
        model = review.model if review else None
        if review is None or model is None:
            return
        case = next(case for case in review.cases if case.name == name)
        opened = reader.opened if reader.case is case else self._desk.in_memory.get(name)
        self._desk.listed.emit()
        if opened is None:
            return
        channel, threshold, precision = review.channel(case), review.threshold(case), self._desk.settings.precision

        def fetch() -> Answer | None:
            result = kept_result(case.source, opened, model, channel, precision, self._desk.results)
            return None if result is None else (result, find(result, threshold, opened.scan))

        self._desk.tasks.run(fetch, lambda both: self._take(review, model, case, opened, both))

    def _take(self, review: Review, model: Model, case: Case, opened: Opened, both: Answer | None) -> None:
        if review is not self._desk.review or model is not review.model or both is None:
            return
        fresh = opened.result is None
        opened.result, opened.finding = both
        opened.overlap = None if opened.truth is None else dice(opened.finding.mask, opened.truth)
        review.was_found(case, review.threshold(case), opened.finding.summary)
        if opened is self._desk.reader.opened:
            self._desk.reader.finding_changed()
            if fresh and opened.finding.lesions and not self._moved(opened):
                self._desk.reader.go_to_start()
            self.show_notice()
            self._desk.case_changed.emit()
            self._desk.segmenting.look_ahead(case, self._desk.order, True)
        self._desk.listed.emit()

    def _moved(self, opened: Opened) -> bool:
        """Whether the reviewer has left the slice that was shown at first; then nobody moves the picture for them."""
        return self._desk.reader.index != opened.view.shape[0] // 2

    def notice_asked(self) -> None:
        """The button beside the notice: count again, or segment this case after all, in the channel that is shown."""
        case, review = self._desk.reader.case, self._desk.review
        if self._uncounted is not None and self._uncounted is self._desk.reader.opened:
            self._count_lesions()
        elif case and self._desk.reader.opened is None and case.problem:
            self._desk.segmenting.failures.pop(case.name, None)
            self._desk.show(case)
        elif case and review and review.model:
            if len(review.model.card.preprocessing.channels) == 1 and self._channel_needed(case):
                threshold = review.choice(case.name, case.image or "")[0]
                review.set_choice(case, threshold, str(self._desk.reader.channel))
            self._desk.segmenting.again(case)
            self.show_notice()

    def _was_stopped(self, case: Case) -> bool:
        opened, segmenting = self._desk.reader.opened, self._desk.segmenting
        waits = opened is not None and opened.result is None and not segmenting.segmenter.is_asked(case.name)
        return segmenting.stopped and waits

    def _channel_needed(self, case: Case) -> bool:
        failure = self._desk.segmenting.failures.get(case.name)
        return failure is not None and failure.code == ChannelNeeded.code

    def show_notice(self) -> None:
        """Say above the picture what stands in the way of a verdict, and why the mask is not to be relied on."""
        case, review = self._desk.reader.case, self._desk.review
        text = ask = ""
        if case and review and not case.undecided:
            failure = self._desk.segmenting.failures.get(case.name)
            if self._uncounted is not None and self._uncounted is self._desk.reader.opened:
                text, ask = "The lesions at this threshold could not be counted.", "Try again"
            elif self._desk.reader.opened is None and case.problem:
                text, ask = "This case could not be read.", "Try again"
            elif failure and self._channel_needed(case):
                text = "The channels of this case differ, and nothing says which one the model should take."
                ask = "Segment the shown channel"
            elif failure:
                text, ask = f"This case was not segmented: {failure.detail}", "Try again"
            elif self._was_stopped(case):
                text, ask = "Segmenting was stopped before this case.", "Segment this case"
            else:
                text = review.store.notice or ("" if review.model else self._desk.model_problem)
        self._desk.reader.say("\n".join(filter(None, (text, *facts.doubts(self._desk)))), ask)

    def preview_threshold(self, threshold: float) -> None:
        """Show the mask at another threshold at once; its lesions are counted when the slider rests."""
        opened = self._desk.reader.opened
        if opened and opened.result and self._desk.review and not self._desk.review.read_only:
            self._desk.reader.preview = threshold
            opened.finding = None
            self._desk.reader.render_slice()
            self._count.start()

    def _count_lesions(self) -> None:
        reader, review = self._desk.reader, self._desk.review
        case, opened = reader.case, reader.opened
        if review is None or case is None or opened is None or opened.result is None:
            return
        result, model, threshold = opened.result, review.model, facts.threshold(self._desk)
        self._uncounted = None
        review.set_choice(case, threshold, review.channel(case))

        def take(finding: Finding) -> None:
            moving = opened is reader.opened and reader.preview not in (None, threshold)
            if model and review.threshold(case) == threshold and not moving:
                self._take(review, model, case, opened, (result, finding))

        def failed(error: Exception) -> None:
            self._uncounted = opened
            self._desk.told.emit(explain(error))
            self.show_notice()

        self._desk.tasks.run(lambda: find(result, threshold, opened.scan), take, failed)

    def pick_model(self, index: int) -> None:
        """Show another model's masks."""
        review = self._desk.review
        if review is None or not 0 <= index < len(self._desk.models) or self._desk.models[index] is review.model:
            return
        review.set_model(self._desk.models[index])
        self._desk.segmenting.serve(review)
        self._desk.thumbnails.serve(review, self._desk.settings.precision, self._desk.results)
        self._desk.in_memory.clear()
        self._desk.listed.emit()
        if self._desk.reader.case:
            self._desk.show(self._desk.reader.case, state_of(self._desk.reader))
