"""Rules of the house that no single room can check."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LONGEST = 400
BANNED_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}
BANNED_METHODS = {"extractall", "unpack_archive"}
ALLOWED_FLAGS = {"allow_pickle": False, "weights_only": True}
BANNED_TEXT = {
    # "me" and "SECRET" are nobody's folders: tests use them.
    "a path of somebody's machine": r"(?<![\w.~])/(root|opt|mnt|work|(home|Users)/(?!me/|SECRET/)\w+)/",
    "the name of a package registry's host": r"pythonhosted\.org|\bpypi\.org|npmjs\.(org|com)",
}


def committed(*patterns: str) -> list[Path]:
    """Files that are, or would be, committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def banned_calls(source: str) -> list[str]:
    """What in a Python source could run code found in data, or unpack an archive unchecked: "line: what"."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                bad = {alias.name for alias in names if alias.name.partition(".")[0] in BANNED_MODULES}
            case ast.ImportFrom(module=str(module), names=names):
                bad = {module} if module.partition(".")[0] in BANNED_MODULES else set()
                bad |= {f"{module}.{alias.name}" for alias in names if (module, alias.name) == ("torch", "load")}
                bad |= {alias.name for alias in names if alias.name in BANNED_METHODS}
            case ast.Attribute(value=ast.Name(id="torch"), attr="load" | "hub" as name):
                bad = {f"torch.{name}"}
            case ast.Attribute(attr=name) if name in BANNED_METHODS:
                bad = {name}
            case ast.keyword(arg=str(name), value=value) if name in ALLOWED_FLAGS:
                allowed = isinstance(value, ast.Constant) and value.value is ALLOWED_FLAGS[name]
                bad = set() if allowed else {name}
            case _:
                continue
        found += [f"{node.lineno}: {name}" for name in sorted(bad)]
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, dill",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "torch.load(path)",
        "from torch import load",
        "torch.hub.load('a/b', 'c')",
        "archive.extractall(folder)",
        "shutil.unpack_archive(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "read(path, weights_only=False)",
    ],
)
def test_the_check_for_banned_calls_finds_them(source: str) -> None:
    assert banned_calls(source)


@pytest.mark.parametrize("source", ["np.load(path, allow_pickle=False)", "json.load(file)", "archive.extract(member)"])
def test_the_check_for_banned_calls_lets_good_code_pass(source: str) -> None:
    assert banned_calls(source) == []


def test_nothing_runs_code_found_in_data_or_unpacks_archives_unchecked() -> None:
    sources = [path for path in committed("*.py") if not relative(path).startswith("tests/")]
    found = {relative(path): bad for path in sources if (bad := banned_calls(path.read_text(encoding="utf-8")))}
    assert sources
    assert found == {}


def test_no_source_file_is_longer_than_400_lines() -> None:
    lines = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in committed("*.py")}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


@pytest.mark.parametrize("what", BANNED_TEXT)
def test_no_committed_file_names_a_machine_or_a_registry(what: str) -> None:
    found = []
    for path in committed():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if re.search(BANNED_TEXT[what], text):
            found.append(relative(path))
    assert found == []


def test_weights_are_safetensors_and_no_scans_are_committed() -> None:
    other_weights = [relative(path) for path in committed("*.pt", "*.pth", "*.ckpt", "*.pkl", "*.npz", "*.onnx")]
    scans = [relative(path) for path in committed("*.tif", "*.tiff", "*.dcm", "*.nii", "*.nii.gz", "*.jpg", "*.jpeg")]
    assert other_weights == []
    assert [name for name in scans if not name.startswith("tests/")] == []


def test_every_room_is_packaged_and_under_contract_and_none_is_empty() -> None:
    packaging = PROJECT["tool"]["setuptools"]
    assert sorted(packaging["packages"]["find"]["include"]) == [f"{room}*" for room in ROOMS]
    assert sorted(packaging["py-modules"]) == sorted(path.stem for path in ROOT.glob("*.py"))
    assert sorted(PROJECT["tool"]["importlinter"]["root_packages"]) == ROOMS
    assert [room for room in ROOMS if len(list((ROOT / room).glob("**/*.py"))) < 2] == []


def test_the_front_door_imports_a_room_only_when_a_verb_runs() -> None:
    command = [sys.executable, "-c", "import sys, metseg; print(*sys.modules)"]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "metseg" in loaded
    assert {*ROOMS, "numpy", "torch", "scipy", "cv2", "lightning"} & set(loaded) == set()


def test_tests_mirror_the_rooms() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.rglob("test_*.py"))}
    assert folders <= {*ROOMS, "e2e", "faults"}
