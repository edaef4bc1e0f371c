"""From a scan to a segmentation: tiling, engines, and the predictor that ties them together."""

from core.inference.engines import Engine
from core.inference.engines.torch_engine import TorchEngine
from core.inference.predictor import Predictor
from core.inference.tiling import Box, Tile, plan_tiles

__all__ = ["Box", "Engine", "Predictor", "Tile", "TorchEngine", "plan_tiles"]
