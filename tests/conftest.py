"""What tests of several rooms share: real data where it is at hand, and tiny models."""

from __future__ import annotations

import importlib.util
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# One thread, also in the processes that tests start: tiny networks gain nothing from more, and other tests wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
# What a script starts in the background ignores Ctrl+C, and would hand that on to the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import settings

settings.register_profile("metseg", deadline=None, print_blob=True)
settings.load_profile("metseg")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PATIENCE = 120.0
"""Seconds after which something hangs; no test expects to take that long."""
TINY_FILTERS = (4, 6, 8, 10, 12)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what a run remembers away from the user's own cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tolerances() -> dict[str, Any]:
    """The table of `tests/tolerances.py`."""
    table: dict[str, Any] = runpy.run_path(str(HERE / "tolerances.py"))["TOLERANCES"]
    return table


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data: METSEG_DATA, or `shared/data` beside the repository."""
    named = os.environ.get("METSEG_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data here: set METSEG_DATA to its folder, or put it at ../shared/data")
    return folder


@pytest.fixture(scope="session")
def lgg_root(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The LGG set's folder of cases: as it lies unpacked, else its first two cases unpacked for this run."""
    for folder in (data_root / "kaggle_3m", data_root / "lgg" / "kaggle_3m"):
        if folder.is_dir():
            return folder
    script = data_root / "lgg" / "unpack.py"
    if not script.is_file():
        pytest.skip("the LGG set isn't in the folder of real data: neither kaggle_3m/ nor lgg/unpack.py")
    target = tmp_path_factory.mktemp("lgg")
    subprocess.run([sys.executable, script, target, "--cases", "2"], check=True, capture_output=True)
    return target / "kaggle_3m"


@pytest.fixture(scope="session")
def randomise() -> Callable[..., Any]:
    """A function that gives a network weights and BatchNorm statistics from a seed.

    Its logits for noise then have mean 0 and deviation 1 at every depth, so that a comparison of answers can fail.
    """
    import torch
    from torch import nn

    def inputs_of(network: nn.Module) -> int:
        return next(module.in_channels for module in network.modules() if isinstance(module, nn.Conv2d))

    def change(network: Any, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)

        def normal(tensor: torch.Tensor, deviation: float) -> None:
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * deviation)

        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                normal(module.weight, (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    normal(module.bias, 0.3)
            elif isinstance(module, nn.BatchNorm2d):
                normal(module.running_mean, 0.3)
                normal(module.bias, 0.3)
                for tensor in (module.running_var, module.weight):
                    tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        network.eval()
        depths = [network.cut(depth) for depth in range(1, network.depth + 1)] if hasattr(network, "cut") else [network]
        for part in depths:
            head = part.heads[f"x0{part.depth}"] if hasattr(part, "heads") else part.head
            with torch.no_grad():
                logits = part(torch.rand(1, inputs_of(part), 64, 64, generator=generator))
                scale = 1 / logits.std()
                head.weight.mul_(scale)
                head.bias.sub_(logits.mean()).mul_(scale)
        return network

    return change


@pytest.fixture(scope="session")
def make_model(randomise: Callable[..., Any]) -> Callable[..., Path]:
    """A function that writes a model folder with random weights: `make_model(folder, "nested-unet", **card_fields)`."""
    from core.model_card import ModelCard, NetworkSettings, PreprocessSettings, WeightsFile
    from core.model_store import save_model
    from core.networks import build_network

    def make(
        folder: Path,
        network: str = "nested-unet",
        *,
        filters: tuple[int, ...] = TINY_FILTERS,
        seed: int = 0,
        **fields: Any,
    ) -> Path:
        preprocessing = fields.pop("preprocessing", PreprocessSettings())
        channels = len(preprocessing.channels)
        card = ModelCard(
            name=folder.name,
            version="1",
            summary="random weights, for tests",
            network=NetworkSettings(network, channels, filters),
            preprocessing=preprocessing,
            weights=WeightsFile("", ""),
            **fields,
        )
        save_model(folder, card, randomise(build_network(network, channels, filters), seed))
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_models(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model folder with few filters and random weights for each network, by the network's name."""
    from core.networks import NETWORK_NAMES

    folder = tmp_path_factory.mktemp("models")
    return {name: make_model(folder / f"tiny-{name}", name) for name in NETWORK_NAMES}


@pytest.fixture(scope="session")
def tiny_model(tiny_models: dict[str, Path]) -> Path:
    """One tiny model folder, for tests that don't care which network."""
    return tiny_models["nested-unet"]


@dataclass
class Running:
    """A metseg that runs in a process of its own.

    Attributes:
        lines: what it has said so far, both streams together.
        outside: the file in which each attempt to reach beyond this machine is noted.
    """

    process: subprocess.Popen[str]
    lines: list[str]
    outside: Path

    def wait_for(self, text: str) -> str:
        """The first line with this text."""
        until = time.monotonic() + PATIENCE
        while not (found := [line for line in list(self.lines) if text in line]):
            assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < until, "".join(self.lines)
            time.sleep(0.05)
        return found[0]

    def stop(self) -> int:
        """Ask it to end, as a service manager would; its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def reached_outside(self) -> list[str]:
        """The names that it wanted to reach beyond this machine."""
        return self.outside.read_text(encoding="utf-8").split() if self.outside.is_file() else []


@pytest.fixture(scope="session")
def start_metseg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """`start_metseg(*arguments, **environment)`: Python with these arguments, with no way out of this machine."""
    with ExitStack() as ends:

        def start(*arguments: str | Path, **environment: str) -> Running:
            outside = tmp_path_factory.mktemp("outside") / "reached.txt"
            paths = os.pathsep.join((str(HERE / "offline"), str(ROOT)))
            own = {"PYTHONPATH": paths, "METSEG_TEST_OUTSIDE": str(outside), "PYTHONUNBUFFERED": "1"}
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)], cwd=outside.parent, env=os.environ | own | environment,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
            )  # fmt: skip
            ends.enter_context(process)
            running = Running(process, [], outside)
            assert process.stdout is not None
            reader = threading.Thread(target=lambda out: running.lines.extend(out), args=(process.stdout,), daemon=True)
            reader.start()
            ends.callback(reader.join, PATIENCE)
            ends.callback(process.kill)
            return running

        yield start


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that names a port of the loopback address on which nobody listens."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def dicom_files() -> Any:
    """What makes DICOM files up: the module of `tests/core/io/dicom` (`slices`, `image`, `save`, `Space`)."""
    pytest.importorskip("pydicom")
    path = HERE / "core" / "io" / "dicom" / "conftest.py"
    spec = importlib.util.spec_from_file_location("metseg_made_up_dicom", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
