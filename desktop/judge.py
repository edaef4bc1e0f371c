"""The verdicts at the desk: given on what is shown, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desktop.session.cases import Case, next_open
from desktop.session.opened import Opened
from desktop.session.verdicts import REASONS, Event, Kind

if TYPE_CHECKING:
    from desktop.desk import Desk


class Judge:
    """Gives verdicts in a desk's review."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def accept(self, *, go_on: bool) -> None:
        """Accept what is shown, and show the next case that waits."""
        case = self._desk.reader.case
        if case is not None and self.decide(Kind.ACCEPT) and go_on:
            following = next_open(self._desk.order, case, self._desk.in_list, self._desk.which)
            if following is not None:
                self._desk.show(following)
            else:
                self._desk.told.emit("Every case of this list has its verdict.")

    def decide(self, kind: Kind, reason: str = "") -> bool:
        """Give a verdict on what is shown; whether it was taken."""
        case, opened, review = self._desk.reader.case, self._desk.reader.opened, self._desk.review
        if case is None or review is None:
            return False
        if refusal := self.refusal(kind):
            self._desk.told.emit(refusal)
        elif review.decide(case, kind, opened.finding if opened else None, reason) is None:
            self._desk.told.emit("This verdict was not taken, for the images shown are not known; show this case anew.")
        else:
            self._desk.told.emit(
                f"{case.label(self._desk.names)}: {case.state}"
                + (f", {reason.lower() if reason in REASONS else reason}" if reason else "")
            )
            self._desk.listed.emit()
            return True
        return False

    def refusal(self, kind: Kind) -> str:
        """Why a verdict cannot be given on what is shown now; "" where it can."""
        case, review = self._desk.reader.case, self._desk.review
        if case is None or review is None:
            return "Open a folder of scans first."
        if review.read_only:
            return review.store.notice or "This review is read-only."
        return _why_not(case, self._desk.reader.opened, kind)

    def undo(self) -> None:
        """Take the last verdict back, and show its case."""
        self._turn(self._desk.review.undo() if self._desk.review else None, "Taken back")

    def redo(self) -> None:
        """Give it again."""
        self._turn(self._desk.review.redo() if self._desk.review else None, "Given again")

    def _turn(self, event: Event | None, what: str) -> None:
        if event is None or self._desk.review is None:
            self._desk.told.emit("There is nothing to undo." if what == "Taken back" else "There is nothing to redo.")
            return
        case = next((case for case in self._desk.review.cases if case.name == event.case), None)
        if case is not None:
            self._desk.told.emit(f"{what}: {event.kind} of {case.label(self._desk.names)}")
            if case is not self._desk.reader.case:
                self._desk.show(case)
        self._desk.listed.emit()

    def write_note(self, case: Case, text: str) -> bool:
        """Keep the note on a case; whether it is kept."""
        review = self._desk.review
        if review is None or review.set_note(case, text):
            return True
        unknown = "This note is not kept yet, for the images shown are not known; show this case anew."
        self._desk.told.emit(review.store.notice if review.read_only else unknown)
        return False


def _why_not(case: Case, opened: Opened | None, kind: Kind) -> str:
    """Why a verdict cannot be given on what is shown now; "" where it can."""
    if opened is None:
        if case.undecided:
            return "Choose first which series is reviewed."
        if not case.problem:
            return "This case is not on the screen yet."
        return "A case that cannot be shown can be rejected or flagged, not accepted." if kind is Kind.ACCEPT else ""
    if opened.result is not None and opened.finding is None:
        return "The lesions at the new threshold are being counted; try again in a moment."
    return "There is no mask to accept yet." if kind is Kind.ACCEPT and opened.finding is None else ""
