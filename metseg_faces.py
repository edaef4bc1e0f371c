"""The verbs that open a face: serve, web, review, gradio."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Annotated

import typer

from metseg_options import DeviceName, Model, PrecisionName


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

        raise UsageError("the server needs packages that are not installed; run: pip install '.[api]'")
    from api.serve import serve as run_server
    from api.settings import load_settings

    given = {"model": model, "device": device, "precision": precision, "insecure": insecure or None}
    run_server(load_settings(**{name: value for name, value in given.items() if value is not None}), host, port)


def review(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[FOLDER]", help="A folder of scans, or files.")] = None,
    model: Model = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Open the desktop reviewer: read cases, judge masks, export."""
    from core.errors import UsageError

    if importlib.util.find_spec("PyQt6") is None:
        raise UsageError("the reviewer needs packages that are not installed; run: pip install '.[desktop]'")
    for path in paths or ():
        if not os.path.exists(path):  # noqa: PTH110 - a path that may not be looked at is none
            raise UsageError("there is no such file or folder, or it may not be looked at", source=str(path))
    from desktop.app import display_problem, run_review
    from desktop.desk import Settings

    if problem := display_problem():
        raise UsageError(problem)
    raise typer.Exit(run_review(paths or [], Settings(model, device, precision)))


def gradio(
    share: Annotated[
        bool,
        typer.Option(
            "--share", help="Ask for a link that works from anywhere; files pass through Gradio's share service."
        ),
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; else the first free one from 7860.", min=1, max=65535)] = None,
    password: Annotated[
        str | None, typer.Option(envvar="METSEG_PASSWORD", help="Of visitors; made up where others can reach the page.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Shipped names or folders; else every shipped model.")] = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Serve a page to show to others, here or by a link."""
    if importlib.util.find_spec("gradio") is None:
        from core.errors import UsageError

        raise UsageError("the page needs packages that are not installed; run: pip install '.[web]'")
    from web_gradio.serve import serve as run_page
    from web_gradio.settings import Settings

    settings = Settings(tuple(model or ()), device, precision, host, port, share, password)
    run_page(settings, lambda line: print(line, flush=True))


def web(
    port: Annotated[int, typer.Option(help="Port of the page.", min=1, max=65535)] = 8501,
    api: Annotated[
        str | None,
        typer.Option(help="Address of a server that runs already, METSEG_API_KEY being its key; else one is started."),
    ] = None,
    model: Model = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
) -> None:
    """Serve the page to this machine's browser, and the server behind it."""
    from core.errors import UsageError

    if importlib.util.find_spec("streamlit") is None or importlib.util.find_spec("fastapi") is None:
        raise UsageError("the page needs packages that are not installed; run: pip install '.[web]'")
    if api is not None and (model, device, precision) != (None, None, None):
        raise UsageError("model, device and precision are the server's affair; leave them out, or leave out --api")
    from core.addresses import check_port
    from web_streamlit.launch import HOST, run_page, run_page_at

    check_port(HOST, port)
    print(f"The page: http://{HOST}:{port} (Ctrl+C ends it)", flush=True)
    if api is not None:
        raise typer.Exit(run_page_at(api, port))
    from api.logs import configure_logs
    from api.serve import make_server
    from api.settings import load_settings

    given = {"model": model, "device": device, "precision": precision}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    configure_logs()
    raise typer.Exit(run_page(lambda: make_server(settings), port))
