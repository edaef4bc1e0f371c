"""The second step of the page: which model, with which options; the run, how far it is, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import ChannelNeeded, InputError
from core.model_card import ModelCard
from core.preprocess.channels import select_channels
from core.scan import Scan
from web_streamlit.desk import Desk
from web_streamlit.intake import plain
from web_streamlit.pace import Pace
from web_streamlit.runs import Options, Run, Task
from web_streamlit.server import Trouble, fetch_models
from web_streamlit.settings import Settings

LOOK_SECONDS = 0.5
KNOCK_SECONDS = 3.0
MOST_MODELS = 2
AUTOMATIC = "Automatic"


def connect(desk: Desk, settings: Settings) -> None:
    """Ask the server for its models, unless they are known; where it does not answer, knock again by itself."""
    if not desk.models:
        _knock(desk, settings)
    if desk.trouble is not None:
        _wait_for_server(desk, settings)


def ask(desk: Desk, settings: Settings) -> None:
    """Let the user choose and start."""
    by_name = {card.name: card for card in desk.models}
    names = st.multiselect(
        "Model",
        list(by_name),
        default=list(by_name)[:1],
        max_selections=MOST_MODELS,
        key="models" if by_name else "no-models",  # a new one, so that the default is chosen once there are models
        placeholder="Waiting for the server" if not by_name else "Choose one, or two to compare",
        label_visibility="collapsed",
        disabled=not by_name,
    )
    cards = [by_name[name] for name in names if name in by_name]
    for card in cards:
        st.caption(f"{card.name}: {card.summary}" if len(cards) > 1 else card.summary)
    if len(by_name) > 1 and len(cards) == 1:
        st.caption("Add another to compare what both find.")
    channels = _channels(desk)
    needed = _needs_channel(desk, cards)
    with st.expander("Options", expanded=needed):
        tta = st.toggle("Average with the mirror image", key="tta", help="Steadier, and takes twice the time.")
        channel = st.selectbox(
            "Channel", (AUTOMATIC, *channels), key="channel", help="Only needed where a picture has several."
        )
    if needed and channel == AUTOMATIC:
        st.info("Some pictures are coloured. Say above, under Channel, which channel shows the scan.")
    options = Options(tta, None if channel == AUTOMATIC else channel)
    tasks = desk.tasks(cards, options)
    many = f" in {len(desk.reading.cases)} cases" if len(desk.reading.cases) > 1 else ""
    st.button(
        f"Find lesions{many}",
        type="primary",
        disabled=not tasks or desk.run is not None,
        on_click=_start,
        args=(desk, settings, tasks),
        width="stretch",
        key="go",
    )


def show_run(desk: Desk, settings: Settings) -> None:
    """The run's progress, and afterwards what it could not do."""
    if desk.run is not None:
        _progress(desk)
    elif desk.failed:
        _failures(desk, settings)


def chosen_channel() -> str | None:
    """What is set under Channel."""
    channel = st.session_state.get("channel", AUTOMATIC)
    return None if channel == AUTOMATIC else channel


@st.fragment(run_every=LOOK_SECONDS)
def _progress(desk: Desk) -> None:
    run = desk.run
    if run is None or run.finished:
        st.rerun(scope="app")
    progress = run.progress()
    left = "" if progress.remaining is None else f" About {_duration(progress.remaining)} left."
    bar, stop = st.columns([6, 1], vertical_alignment="center")
    bar.progress(min(max(progress.share, 0.0), 1.0), text=plain(progress.stage) + left)
    stop.button("Stop", on_click=run.stop, key="stop", width="stretch")


def _failures(desk: Desk, settings: Settings) -> None:
    for sentence in dict.fromkeys(failure.sentence for failure in desk.failed):
        names = dict.fromkeys(each.task.case.scan.name for each in desk.failed if each.sentence == sentence)
        shown = ", ".join([*names][:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        st.error(f"{plain(sentence)}\n\nNot segmented: {plain(shown)}")
    tasks = [failure.task for failure in desk.failed]
    st.caption("Your files are kept.")
    st.button("Try again", on_click=_start, args=(desk, settings, tasks), key="again", icon=":material/refresh:")


def _start(desk: Desk, settings: Settings, tasks: list[Task]) -> None:
    desk.failed, desk.run = (), Run(settings, tasks, _pace(), _watched())
    desk.run.start()


def _watched() -> Callable[[], bool]:
    """Whether the browser is still there."""
    context = get_script_run_ctx()
    if context is None or not exists():
        return lambda: True
    session, runtime = context.session_id, get_instance()
    return lambda: runtime.is_active_session(session)


def _knock(desk: Desk, settings: Settings) -> None:
    try:
        desk.models, desk.trouble = fetch_models(settings), None
    except Trouble as trouble:
        desk.trouble = trouble


@st.fragment(run_every=KNOCK_SECONDS)
def _wait_for_server(desk: Desk, settings: Settings) -> None:
    if not st.session_state.pop("just-knocked", True):
        _knock(desk, settings)
    st.session_state["just-knocked"] = False
    if desk.trouble is None:
        st.rerun(scope="app")
    else:
        st.warning(f"{desk.trouble.sentence}\n\nFiles that you have chosen are kept; this page keeps trying.")
        st.button("Try again", key="knock")


def _channels(desk: Desk) -> list[str]:
    """What may be chosen: names where all cases have the same, else numbers."""
    scans = [case.scan for case in desk.reading.cases]
    named = {scan.channels for scan in scans}
    if len(named) == 1 and (names := named.pop()):
        return list(names)
    return [str(index) for index in range(max((scan.voxels.shape[1] for scan in scans), default=1))]


def _needs_channel(desk: Desk, cards: list[ModelCard]) -> bool:
    """Whether there is a case of which nobody can say which channel to take."""
    key = ("needs-channel", tuple(case.key for case in desk.reading.cases), tuple(card.name for card in cards))
    if st.session_state.get("needs-channel", (None, False))[0] != key:
        st.session_state["needs-channel"] = (
            key,
            any(_unclear(case.scan, card) for case in desk.reading.cases for card in cards),
        )
    return bool(st.session_state["needs-channel"][1])


def _unclear(scan: Scan, card: ModelCard) -> bool:
    try:
        select_channels(scan, card.preprocessing.channels)
    except ChannelNeeded:
        return True
    except InputError:
        return False
    return False


def _duration(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 90 else f"{round(whole / 60)} min"


@st.cache_resource(show_spinner=False)
def _pace() -> Pace:
    return Pace()
