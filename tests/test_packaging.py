"""What an installation gets: every module, the models, the folds; pinned versions; one version number."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FRONT = tuple(sorted(path.name for path in ROOT.glob("metseg*.py")))
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
# A room's extra has its name, save these; and what may be imported because an extra's packages cannot be without it.
EXTRAS = {"benchmarks": "bench", "training": "train", "web_gradio": "web", "web_streamlit": "web"}
COME_ALONG = {
    "api": {"anyio", "h11", "pydantic", "starlette"},
    "benchmarks": {"pytest", "pyqt6", "pyqt6-sip"},  # timing the reviewer takes its extra as well
    "desktop": {"pyqt6-sip"},
}
PLUGINS = {"pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle"}  # pydicom finds these by itself


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(*extras: str) -> set[str]:
    """Names of the packages that a plain installation, or these extras on top, ask for."""
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {normalised(re.match(r"[\w.-]+", line)[0]) for line in lines} - {project["name"]}


def imported(paths: Iterable[Path]) -> set[str]:
    """Names of the packages, in the registry's spelling, that these sources import, other than Python's and our own."""
    roots = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                roots.add(node.module.partition(".")[0])
    foreign = roots - sys.stdlib_module_names - {*ROOMS, *(path.stem for path in ROOT.glob("*.py"))}
    owners = packages_distributions()
    return {normalised(owner) for root in foreign for owner in owners.get(root, [root])}


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel that is built, without network, from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / "source" / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", *FRONT, "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, folder / "source"], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_the_wheel_holds_every_module_and_the_folds_and_models(wheel_names: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    folders = (ROOT / "core" / "weights", ROOT / "core" / "evaluation" / "folds")
    data = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert ({*FRONT} | modules | data) - wheel_names == set()


def test_the_wheel_holds_the_licences_and_no_tests(wheel_names: set[str]) -> None:
    licences = {name.rpartition("/")[2] for name in wheel_names if ".dist-info/licenses/" in name}
    assert {"LICENSE", "NOTICE"} <= licences
    assert not [name for name in wheel_names if name.startswith(("tests/", "docs/"))]


def test_every_package_asked_for_is_pinned_to_one_version_per_python() -> None:
    pinned: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==([\w.+!]+)( ; .+)?", line).group(1, 2)
            pinned.setdefault(normalised(name), []).append(version)
    assert asked_for(*PROJECT["project"]["optional-dependencies"]) - set(pinned) == set()
    assert pinned["torch"] == ["2.13.0"]
    assert not [name for name, versions in pinned.items() if any("+" in version for version in versions)]


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "core"])
def test_a_room_imports_only_what_its_extra_asks_for(room: str) -> None:
    allowed = asked_for(EXTRAS.get(room, room)) | COME_ALONG.get(room, set())
    assert imported((ROOT / room).rglob("*.py")) - allowed == set()


def test_segmenting_alone_imports_what_a_plain_installation_asks_for_and_nothing_is_asked_for_in_vain() -> None:
    assert imported([*ROOT.glob("*.py"), *(ROOT / "core").rglob("*.py")]) == asked_for() - PLUGINS
    assert "torchvision" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_one_version_number_stands_everywhere() -> None:
    from core.system import VERSION

    version = PROJECT["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert version == VERSION
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == version
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == version
