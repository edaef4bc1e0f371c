"""Whom an evaluation scores, and what is known about whether the model has seen them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import InputError, ModelDamaged, NothingFound
from core.evaluation.cases import LabelledSet, find_cases
from core.evaluation.copies import find_shared, read_prints, refuse_shared
from core.evaluation.folds import Folds
from core.evaluation.patients import Case, PatientRule, may_be_another, name_patients, patient_of, spelled
from core.model_card import ModelCard

RULE = "patient_rule"
"""Where a card's account of its data says how names told the patients that it lists, see `PatientRule.to_json`."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many cases are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Split:
    """Whom to score, and what is known about whether the model has seen them.

    Attributes:
        scored, learnt: cases of the set.
        held_out: "yes", "no" or "unknown".
        about: for scores.json.
    """

    scored: tuple[Case, ...]
    learnt: tuple[Case, ...]
    held_out: str
    about: dict[str, Any]

    @property
    def patients(self) -> set[str]:
        """Who is scored."""
        return {case.patient for case in self.scored}


def find_named(
    data: str | Path, card: ModelCard, rule: PatientRule | None, channel: int | str | None
) -> tuple[LabelledSet, PatientRule]:
    """The cases of a set, and the rule by which patients were told: where none is given the card's, if it fits.

    Raises:
        ModelDamaged: the card's rule cannot be read.
        NothingFound, InputError: see `find_cases`.
    """
    if rule is None and (learnt := _card_rule(card)) is not None:
        # Who vouched for each image that was learnt from did not vouch for these.
        rule = replace(learnt, each_image=False)
        with suppress(InputError):
            return find_cases(data, rule, channel), rule
        rule = None
    rule = PatientRule() if rule is None else rule
    return find_cases(data, rule, channel), rule


def divide(
    labelled: LabelledSet,
    card: ModelCard,
    rule: PatientRule,
    folds: Folds | None,
    fold: int | None,
    allow_learnt: bool = False,
) -> Split:
    """Choose the patients to score, and hold them against those whom the model's card names as learnt from.

    Raises:
        NothingFound: none of the fold's patients is in the set.
        InputError: there is no such fold, or the model learnt from a patient who would be scored.
    """
    about: dict[str, Any] = {"folds": None, "fold": None, "rule": "every patient of the set", "absent": 0}
    chosen = set(labelled.patients)
    if folds is not None:
        named = {patient for group in folds.folds for patient in group} if fold is None else set(folds.test(fold))
        about = {"folds": folds.name, "fold": fold, "rule": folds.rule, "absent": len(named - chosen)}
        chosen &= named
    scored = tuple(case for case in labelled.cases if case.patient in chosen)
    if not scored:
        raise NothingFound("none of the fold's patients is in this set; check --folds and --patients")
    listed = _patients(card, "patients")
    called = _called(labelled, card, rule)
    names = {name for case in scored for name in called[case]}
    overlap = _refuse_learnt(names, len(chosen), listed, card, allow_learnt)
    # Another name says nothing: it may be another way to write one that was learnt from.
    known = _named_alike(card, rule) and chosen <= _patients(card, "held_out") | _patients(card, "watched")
    rest = tuple(case for case in labelled.cases if case.patient not in chosen and called[case] & listed)
    return Split(scored, rest, "no" if overlap else "yes" if known else "unknown", about)


def check_content(
    split: Split,
    card: ModelCard,
    rule: PatientRule,
    learnt: str | Path | None,
    channel: int | str | None,
    allow_learnt: bool,
    tell: Progress,
) -> tuple[Split, dict[str, Any]]:
    """Look whether a scored slice is among those learnt from, as far as these are at hand, under another name.

    Args:
        split: as `divide` gave it.
        card: of the model.
        rule: how names tell patients; in `learnt` too, where the card does not say how.
        learnt: another folder with scans that the model learnt from.
        channel: as for `find_cases`.
        allow_learnt: say so instead of refusing.
        tell: told what is being done.

    Raises:
        InputError: the model learnt from a patient or a slice that would be scored, or `learnt` cannot be read.
    """
    held_out, others = split.held_out, split.learnt
    everybody: set[str] = set()
    if learnt is not None:
        alike, own = _named_alike(card, rule), _card_rule(card)
        listed = _patients(card, "patients") if alike or own else set()
        # What the model did not learn from may lie there too, where its card tells.
        there = [
            case for case in find_cases(learnt, own or rule, channel).cases if not listed or case.patient in listed
        ]
        # A table of the scored set's files says nothing about namesakes in another folder.
        comparable = alike or own is None or not rule.files
        names = {name for case in there for name in _named(case, Path(learnt), rule)} if comparable else set()
        if _refuse_learnt(split.patients, len(split.patients), names, card, allow_learnt):
            held_out = "no"
        if alike or own is None:
            there = [case for case in there if case.patient not in split.patients]
        # Who names the folder says that these are the scans; in the scored set a name alone may be another patient's.
        everybody = listed if listed <= {case.patient for case in there} else set()
        others += tuple(there)
    check = {"learnt_patients_at_hand": len({case.patient for case in others}), "shared": False}
    if others:
        total = len(split.scored) + len(others)
        # Whoever scores them says which cannot be read.
        mine = read_prints(split.scored, lambda done, _: tell("comparing contents", done, total), skip_broken=True)
        theirs = read_prints(others, lambda done, _: tell("comparing contents", len(split.scored) + done, total))
        if not allow_learnt:
            refuse_shared(mine, theirs)
        elif find_shared(mine, theirs):
            held_out, check["shared"] = "no", True
        if held_out == "unknown" and everybody and not may_be_another(split.patients, everybody):
            held_out = "yes"
    return replace(split, held_out=held_out), check


def _card_rule(card: ModelCard) -> PatientRule | None:
    """How names told the patients whom the card lists; None where it does not say, as those of older models."""
    if RULE not in card.data:
        return None
    try:
        return PatientRule.from_json(card.data[RULE])
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise ModelDamaged(
            "the model's card.json tells in no readable way how patients were named; install the model again",
            source=card.name,
        ) from error


def _called(labelled: LabelledSet, card: ModelCard, rule: PatientRule) -> dict[Case, set[str]]:
    """How the card may call each case's patient: as here, or, unless a table says who is who, as its own rule does."""
    called = {case: {case.patient} for case in labelled.cases}
    own = _card_rule(card) or PatientRule()
    if not rule.files and not _named_alike(card, rule):
        for case, names in called.items():
            names |= _named(case, labelled.root, own)
    return called


def _named(case: Case, root: Path, rule: PatientRule) -> set[str]:
    """Whose a case is by a rule; nobody's where the rule does not tell."""
    with suppress(InputError):
        return {part.patient for part in name_patients([case.source], root, rule)}
    return set()


def _named_alike(card: ModelCard, rule: PatientRule) -> bool:
    """Whether names of patients can be held against the card's; a card without a rule took names as they are."""
    learnt = _card_rule(card) or PatientRule()
    return (learnt.pattern, learnt.files) == (rule.pattern, rule.files)


def _patients(card: ModelCard, part: str) -> set[str]:
    """Whom the card names as learnt from ("patients"), "watched" or "held_out"; nobody where it does not say."""
    listed = card.data.get(part)
    names = map(str, listed) if isinstance(listed, list | tuple) else ()
    # Cards without a rule may call a patient by a case's name.
    return set(names) if RULE in card.data else {patient_of(name) for name in names}


def _refuse_learnt(scored: set[str], count: int, learnt: set[str], card: ModelCard, allow: bool) -> list[str]:
    """Those of `count` scored patients who were learnt from; an InputError where there are any and none is allowed."""
    overlap = sorted(set(map(spelled, scored)) & set(map(spelled, learnt)))
    if overlap and not allow:
        better = (
            "choose its held-out fold with --folds and --fold"
            if _patients(card, "held_out")
            else "it has no held-out fold: score other patients, or train a model that has one with "
            f"`metseg train DATA --network {card.network.name} --fold K --out DIR`"
        )
        raise InputError(
            f"the model learnt from {len(overlap)} of the {count} patients to score, so the figures would flatter it; "
            f"{better}, or say --allow-learnt to have them marked; other people of the same names need others, by "
            "--patients TABLE.csv",
            source=overlap[0],
        )
    return overlap
