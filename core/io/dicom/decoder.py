"""Decodes compressed pixels in a child process, so that a decoder's crash is an error and not the end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, InputError, TooLarge, UnsupportedFormat
from core.io.dicom import child
from core.io.dicom.child import read_part, write_part
from core.io.dicom.instance import Instance

SECONDS = 60.0
"""How long the child may take for one frame; a slow laptop decodes the largest of them in a few."""
ROOT = Path(__file__).resolve().parents[3]
_PROBLEMS: dict[str, InputError] = {
    "memory": TooLarge("the DICOM file's compressed pixels take more memory than they may; export it uncompressed"),
    "unsupported": UnsupportedFormat("the DICOM file is compressed in a way that is not read; export it uncompressed"),
    "damaged": BrokenFile("the DICOM file's compressed pixels are damaged; copy or export it again"),
    "crash": BrokenFile("the DICOM file's compressed pixels made their decoder fail; copy or export it again"),
    "time": BrokenFile("the DICOM file's compressed pixels take too long to decode; export it uncompressed"),
}


class Decoder:
    """A child process for the images of one series; it starts with the first of them, and ends with the `with`.

    Args:
        seconds: how long it may take for a frame.
        command: what to start instead of the child, for tests.
    """

    def __init__(self, seconds: float = SECONDS, command: list[str] | None = None) -> None:
        self._seconds = seconds
        # -P: nothing is imported from the folder in which the user happens to be.
        self._command = command or [sys.executable, "-P", "-m", child.__name__]
        self._process: subprocess.Popen[bytes] | None = None
        self._late = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def frames(self, instance: Instance) -> Iterator[NDArray[Any]]:
        """Decode an image.

        Yields:
            Its frames, (samples, rows, columns), colours as RGB.

        Raises:
            BrokenFile: the pixels are damaged, or made the decoder crash or hang.
            UnsupportedFormat: there is no decoder for them.
            TooLarge: they take too much memory.
        """
        expected = (instance.samples, instance.rows, instance.columns)
        process = self._started()
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        done = 0
        with self._timed(process):
            self._ask(process.stdin, instance)
        while True:
            with self._timed(process):
                head = self._answer(process.stdout)
                pixels = self._part(process.stdout) if "shape" in head else b""
            if "problem" in head:
                raise _fresh(head["problem"])
            if "shape" not in head:
                break
            dtype = np.dtype(head["dtype"])
            if tuple(head["shape"]) != expected or done == len(instance.frames) or dtype.kind not in "iu":
                self._end()  # it may have more to say
                raise _fresh("damaged")
            done += 1
            yield np.frombuffer(pixels, dtype).reshape(expected)
        if done < len(instance.frames):
            raise _fresh("damaged")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # One thread: pictures are small, and threads would count against the memory limit.
            places = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
            own = {"PYTHONPATH": places, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                self._command, env=os.environ | own,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl+C is the parent's to answer, who then ends the child
            )  # fmt: skip
            self._late = False
        return self._process

    def _ask(self, stream: IO[bytes], instance: Instance) -> None:
        head = {
            "syntax": instance.syntax,
            "frame_bytes": instance.frame_bytes,
            "rows": instance.rows,
            "columns": instance.columns,
            "samples_per_pixel": instance.samples,
            "number_of_frames": len(instance.frames),
            "photometric_interpretation": instance.photometric,
            "planar_configuration": instance.planar,
            "bits_allocated": instance.allocated,
            "bits_stored": instance.stored,
            "pixel_representation": int(instance.signed),
        }
        try:
            write_part(stream, json.dumps(head).encode())
            write_part(stream, instance.pixels)
            stream.flush()
        except OSError as error:
            raise self._failed() from error

    def _answer(self, stream: IO[bytes]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._part(stream))
        return answer

    def _part(self, stream: IO[bytes]) -> bytes:
        part = read_part(stream)
        if part is None:
            raise self._failed()
        return part

    @contextlib.contextmanager
    def _timed(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        def stop() -> None:
            self._late = True
            process.kill()

        timer = threading.Timer(self._seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _failed(self) -> InputError:
        late = self._late
        self._end()
        return _fresh("time" if late else "crash")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()
            process.wait()


def _fresh(problem: str) -> InputError:
    """An error of its own each time, for the caller puts a name on it."""
    error = _PROBLEMS[problem]
    return type(error)(error.detail)
