"""What people uploaded does not stay behind, not even where a process was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.io.private import private_folder, sweep

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from core.io.private import private_folder
with private_folder("metseg-test-") as folder:
    (folder / "scan.tif").write_bytes(b"somebody")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_for_its_user_alone_and_gone_with_the_block(temporary: Path) -> None:
    with private_folder("metseg-test-") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "scan.tif").write_bytes(b"x")
        assert list(temporary.iterdir()) == [folder]
        assert folder.name.startswith("metseg-test-")
        assert folder.stat().st_mode & 0o077 == 0
    assert list(temporary.iterdir()) == []


def test_it_is_gone_after_an_error_too(temporary: Path) -> None:
    with pytest.raises(KeyError), private_folder("metseg-test-"):
        raise KeyError
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell whether a folder is still somebody's")
def test_what_a_killed_process_left_is_swept_and_what_others_hold_is_not(temporary: Path) -> None:
    root = str(Path(__file__).parents[3])
    killed = subprocess.run([sys.executable, "-c", KILLED, root], env={"TMPDIR": str(temporary)})
    assert killed.returncode == -signal.SIGKILL
    (left,) = temporary.iterdir()
    foreign = temporary / "metseg-other-1"
    foreign.mkdir()
    (temporary / "metseg-test-link").symlink_to(foreign)
    with private_folder("metseg-test-") as folder:
        assert not left.exists()
        with private_folder("metseg-test-") as second:
            sweep("metseg-test-")
            assert folder.is_dir()
            assert second.is_dir()
    assert foreign.is_dir()
