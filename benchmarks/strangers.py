"""Made-up pictures that are no FLAIR of a head: noise, a CT-like head, a photograph-like scene, inverted contrast."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.phantom import make_phantom
from core.scan import Scan

SIZE = 256
SLICES = 12
Pictures = NDArray[np.uint8]


def noise(seed: int) -> Scan:
    """Every pixel drawn for itself, even or bell-shaped by turns."""
    random = np.random.default_rng(seed)
    shape = (SLICES, 1, SIZE, SIZE)
    values = random.integers(0, 256, shape) if seed % 2 else np.clip(random.normal(90, 40, shape), 0, 255)
    return Scan(f"noise {seed}", values.astype(np.uint8))


def photograph(seed: int) -> Scan:
    """A scene: sky and ground shaded, a dozen overlapping bodies with edges and texture, as blurred as a lens does."""
    return Scan(
        f"scene {seed}", np.stack([_scene(np.random.default_rng((seed, index))) for index in range(SLICES)])[:, None]
    )


def ct_like(seed: int) -> Scan:
    """A phantom's head as a brain window of CT shows it: the skull white, the brain flat, fluid darker, air black."""
    scan, _ = make_phantom(seed, SLICES, SIZE)
    random = np.random.default_rng(seed)
    return Scan(f"ct {seed}", np.stack([_ct(image, random) for image in scan.voxels[:, 0]])[:, None])


def inverted(scan: Scan) -> Scan:
    """Bright where it was dark, air included; for 8-bit scans."""
    return replace(scan, voxels=255 - scan.voxels)


def _scene(random: np.random.Generator) -> Pictures:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64) / SIZE
    horizon = random.uniform(0.3, 0.7)
    picture = np.where(rows < horizon, random.uniform(120, 240) - 60 * rows, random.uniform(40, 140) + 50 * rows)
    for _ in range(12):
        centre, axes = random.uniform(0, 1, 2), random.uniform(0.04, 0.3, 2)
        turn = random.uniform(0, np.pi)
        x, y = columns - centre[0], rows - centre[1]
        u, v = (x * np.cos(turn) + y * np.sin(turn)) / axes[0], (y * np.cos(turn) - x * np.sin(turn)) / axes[1]
        body = (np.abs(u) ** 3 + np.abs(v) ** 3) < 1
        stripes = 25 * np.sin(random.uniform(10, 90) * (x * random.normal() + y * random.normal()))
        picture = np.where(body, random.uniform(10, 250) + 40 * u + stripes, picture)
    coarse = cv2.resize(random.normal(0, 18, (32, 32)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    picture = cv2.GaussianBlur(picture + coarse, (0, 0), random.uniform(0.6, 1.4)) + random.normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _ct(image: Pictures, random: np.random.Generator) -> Pictures:
    threshold, _ = cv2.threshold(cv2.GaussianBlur(image, (0, 0), 2), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = (cv2.GaussianBlur(image, (0, 0), 2) > threshold / 2).astype(np.uint8)
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    head = cv2.drawContours(np.zeros_like(bright), [largest], -1, 1, cv2.FILLED)
    depth = cv2.distanceTransform(head, cv2.DIST_L2, 5)
    brain = 110 + 0.06 * (image.astype(np.float64) - float(np.median(image[head > 0])))
    brain -= 45 * (cv2.GaussianBlur(image, (0, 0), 1.5) < 0.55 * np.median(image[head > 0]))  # ventricles and furrows
    picture = np.where(depth > 0, np.where(depth < 6, 85.0, np.where(depth < 14, 255.0, brain)), 0.0)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8) + random.normal(0, 5, picture.shape) * (depth > 0)
    return np.clip(picture, 0, 255).astype(np.uint8)
