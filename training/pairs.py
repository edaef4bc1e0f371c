"""The training set: image and mask pairs, preprocessed once and kept as arrays that are mapped from disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import NothingFound
from core.evaluation.folds import patient_of
from core.io import find_scans, read_mask, read_scan
from core.model_card import PreprocessSettings
from core.preprocess.clahe import clahe, tile_grid
from core.preprocess.grid import Grid
from core.preprocess.prepare import prepare
from core.scan import Scan, ScanSource

CACHE_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Every slice of a set on the network's grid, after CLAHE.

    Attributes:
        images: (slices, channels, size, size) uint8, mapped from disk.
        truths: (slices, size, size) uint8, 0 or 1, mapped from disk.
        patients: for each slice its patient.
        key: hash of what went in: files and settings.
    """

    images: NDArray[np.uint8]
    truths: NDArray[np.uint8]
    patients: NDArray[np.str_]
    key: str

    def of(self, patients: Sequence[str]) -> NDArray[np.int64]:
        """Indices of these patients' slices."""
        return np.flatnonzero(np.isin(self.patients, list(patients)))


def load_pairs(
    data: Path, settings: PreprocessSettings, cache: Path, progress: Callable[[int, int], None] | None = None
) -> Pairs:
    """Read a folder of pairs, or what an earlier call kept of it.

    Args:
        data: a folder that `find_scans` understands.
        settings: the preprocessing that the model's card will name.
        cache: folder for the arrays; about 130 KB a slice.
        progress: called with (cases done, cases).

    Raises:
        NothingFound: no case in the folder has its masks.
    """
    sources = [source for source in find_scans(data) if source.has_truth]
    if not sources:
        raise NothingFound("this folder holds no image with its mask beside it", source=str(data))
    key = _key(sources, settings)
    folder = cache / key
    if not (folder / "index.json").is_file():
        _build(sources, settings, folder, progress)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return Pairs(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        truths=np.load(folder / "truths.npy", mmap_mode="r"),
        patients=np.asarray(index["patients"]),
        key=key,
    )


def _key(sources: Sequence[ScanSource], settings: PreprocessSettings) -> str:
    files = []
    for source in sources:
        for path in (*source.paths, *source.mask_paths):
            if path is not None:
                stat = path.stat()
                files.append((source.name, path.name, stat.st_size, stat.st_mtime_ns))
    content = json.dumps([CACHE_VERSION, asdict(settings), files]).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _build(
    sources: Sequence[ScanSource],
    settings: PreprocessSettings,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    images, truths, patients = [], [], []
    for done, source in enumerate(sources, start=1):
        scan = read_scan(source)
        image, truth = pair_on_grid(scan, read_mask(source), settings)
        images.append(image)
        truths.append(truth)
        patients += [patient_of(source.name)] * len(image)
        if progress:
            progress(done, len(sources))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.concatenate(images))
    np.save(folder / "truths.npy", np.concatenate(truths))
    temporary = folder / "index.json.part"
    temporary.write_text(json.dumps({"patients": patients}), encoding="utf-8")
    temporary.replace(folder / "index.json")  # last, so that its presence means that the arrays are whole


def pair_on_grid(
    scan: Scan, truth: NDArray[np.bool_], settings: PreprocessSettings
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One case as the network sees it.

    Returns:
        images (slices, channels, size, size) uint8 after CLAHE, and truths (slices, size, size) uint8; what is smaller
        than `settings.size` is centred, its images padded with their edge and its truth with zero.
    """
    prepared = prepare(scan, settings)
    slices, channels, height, width = prepared.images.shape
    flat = prepared.images.reshape(-1, height, width)
    if settings.clip_limit >= 0:
        flat = clahe(flat, settings.clip_limit, tile_grid(height, width, settings.tile_px))
    on_grid = truth_on_grid(truth, prepared.grid)
    top, left = (settings.size - height) // 2, (settings.size - width) // 2
    margins = ((top, settings.size - height - top), (left, settings.size - width - left))
    images = np.pad(flat.reshape(slices, channels, height, width), ((0, 0), (0, 0), *margins), mode="edge")
    return images, np.pad(on_grid, ((0, 0), *margins))


def truth_on_grid(truth: NDArray[np.bool_], grid: Grid) -> NDArray[np.uint8]:
    """A mask (slices, height, width) on the network's grid: 1 where most of a pixel is lesion."""
    height, width = grid.target
    if truth.shape[1:] == (height, width):
        return truth.astype(np.uint8)
    share = [cv2.resize(part.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) for part in truth]
    return (np.stack(share) >= 0.5).astype(np.uint8)
