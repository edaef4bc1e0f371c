"""What the README tells people to do exists and works."""

import re
from pathlib import Path

import pytest
import tifffile
import typer

import metseg
from core.phantom import make_phantom

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(metseg.app).commands


def test_every_make_target_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_command_it_names_exists_and_none_is_left_out() -> None:
    assert set(re.findall(r"[`/\\]metseg ([a-z]+)", README)) == set(COMMANDS)


def test_every_option_it_names_exists() -> None:
    known = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    ours = re.sub(r"-m pytest [^`\n]*", "", README)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)) - {"--help"}
    assert named
    assert named <= known


def test_every_file_it_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_python_runs(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("core.model_store.SHIPPED", tiny_model.parent)
    scan, _ = make_phantom(seed=3, slices=2, size=64)
    case = tmp_path / "my-scans" / "CASE"
    case.mkdir(parents=True)
    for number, image in enumerate(scan.voxels[:, 0], start=1):
        tifffile.imwrite(case / f"CASE_{number}.tif", image)
    monkeypatch.chdir(tmp_path)
    assert SNIPPETS
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), {})  # noqa: S102
    assert "CASE" in (printed := capsys.readouterr().out)
    assert "in 2 slices" in printed
