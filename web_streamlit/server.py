"""Talks to the HTTP API; whatever goes wrong becomes one sentence for a person."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from core.errors import ModelDamaged, sentence
from core.model_card import ModelCard
from web_streamlit.settings import Settings

QUICK = httpx.Timeout(5.0, connect=2.0)
CONNECT_SECONDS = 5.0
WRITE_SECONDS = 60.0
SLOW_SECONDS = 2.0
"""Between two tries where the server does not say when to come again."""
AWAY = "The segmentation server does not answer. It may still be starting; if this lasts, start it with: metseg serve"

Kind = Literal["away", "busy", "refused"]


class Trouble(Exception):  # noqa: N818
    """The server did not do what was asked.

    Attributes:
        sentence: what is wrong and what to do.
        kind: "away" and "busy" pass, perhaps; what is "refused" would be refused again.
        wait: seconds until another try makes sense.
    """

    def __init__(self, sentence: str, kind: Kind, wait: float = SLOW_SECONDS) -> None:
        self.sentence, self.kind, self.wait = sentence, kind, wait
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a scan.

    Attributes:
        tiff: probabilities, float32, a page for each slice.
        warnings: codes of what the server noticed.
    """

    tiff: bytes
    warnings: tuple[str, ...]


def fetch_models(settings: Settings) -> tuple[ModelCard, ...]:
    """The cards of the models that the server has, the default first.

    Raises:
        Trouble: it does not answer, or not with that.
    """
    try:
        with httpx.Client(**_client(settings), timeout=QUICK) as client:
            names = [str(entry["name"]) for entry in _json(client.get("/models"))["models"]]
            cards = tuple(ModelCard.from_json(_json(client.get(f"/models/{name}"))) for name in names)
    except httpx.HTTPError as error:
        raise trouble_of(error) from error
    except (KeyError, TypeError, ValueError, ModelDamaged) as error:
        raise Trouble("What answers there is no metseg server; check METSEG_API_URL.", "refused") from error
    if not cards:
        raise Trouble("The server has no model; install one and start it again.", "refused")
    return cards


async def fetch_machine(settings: Settings) -> dict[str, Any]:
    """What the server computes with, as far as it says so: its versions, device and precision; empty if it does not."""
    try:
        async with httpx.AsyncClient(**_client(settings), timeout=QUICK) as client:
            about, ready = _json(await client.get("/version")), _json(await client.get("/health/ready"))
        return {"device": ready.get("device"), "precision": ready.get("precision"), **about}
    except (httpx.HTTPError, Trouble, ValueError, TypeError, AttributeError):
        return {}


async def fetch_probability(
    settings: Settings,
    content: bytes,
    fields: dict[str, str],
    sent: Callable[[float], None] | None = None,
) -> Answer:
    """Have a scan segmented; leaving the coroutine takes the request back.

    Args:
        settings: where to.
        content: the file. No name goes with it.
        fields: of the form, beside the file.
        sent: hears which share of the file is on its way.

    Raises:
        Trouble: there is no answer.
    """
    timeout = httpx.Timeout(settings.answer_seconds, connect=CONNECT_SECONDS, write=WRITE_SECONDS)
    try:
        async with (
            httpx.AsyncClient(**_client(settings), timeout=timeout) as client,
            client.stream(
                "POST",
                "/predict/",
                params={"view": "probability"},
                headers={"Accept": "image/tiff"},
                files={"file": ("scan", _Counted(content, sent))},
                data=fields,
            ) as response,
        ):
            body = await response.aread()
    except httpx.HTTPError as error:
        raise trouble_of(error) from error
    if response.status_code != httpx.codes.OK:
        raise refusal(response)
    codes = response.headers.get("X-Metseg-Warnings", "").split(",")
    return Answer(body, tuple(code.strip() for code in codes if code.strip()))


def trouble_of(error: httpx.HTTPError) -> Trouble:
    """What a failed connection means."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return Trouble(AWAY, "away")
    if isinstance(error, httpx.TimeoutException):
        return Trouble("The server took longer than this page waits; try again, or send fewer slices.", "busy")
    return Trouble("The connection to the server broke off; it may be restarting.", "away")


def refusal(response: httpx.Response) -> Trouble:
    """What an answer that is no result means."""
    status = response.status_code
    try:
        problem = response.json()
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the server answered {status}"
    said = sentence(detail)
    if status in (401, 403):
        return Trouble("The server asks for a key; start this page with METSEG_API_KEY set.", "refused")
    if status in (429, 503):
        return Trouble(said, "busy", _retry_after(response))
    if status in (502, 504):
        return Trouble(said, "busy")
    return Trouble(said, "refused")


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", "")), 0.1), 60.0)
    except ValueError:
        return SLOW_SECONDS


def _json(response: httpx.Response) -> Any:
    if response.status_code != httpx.codes.OK:
        raise refusal(response)
    return response.json()


def _client(settings: Settings) -> dict[str, Any]:
    headers = {} if settings.api_key is None else {"Authorization": f"Bearer {settings.api_key}"}
    # No proxy that the environment names may see a scan.
    return {"base_url": settings.api_url, "headers": headers, "trust_env": False}


class _Counted(io.BytesIO):
    """Bytes that tell how much of them was read."""

    def __init__(self, content: bytes, told: Callable[[float], None] | None) -> None:
        super().__init__(content)
        self._size, self._told = max(len(content), 1), told

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        if self._told is not None:
            self._told(self.tell() / self._size)
        return part
