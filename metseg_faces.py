"""The verbs that open a face: serve."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from metseg_options import Model


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65535)] = 8000,
    model: Model = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Answer other machines without a key.")] = False,
) -> None:
    """Answer over HTTP; METSEG_… variables set the rest."""
    if importlib.util.find_spec("fastapi") is None:
        from core.errors import UsageError

        raise UsageError("the server needs packages that are not installed; run: pip install 'metseg[api]'")
    from api.serve import serve as run_server
    from api.settings import load_settings

    given = {"model": model, "device": device, "precision": precision, "insecure": insecure or None}
    run_server(load_settings(**{name: value for name, value in given.items() if value is not None}), host, port)
