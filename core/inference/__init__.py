"""From a scan to a segmentation: tiling, engines, and the predictor that ties them together."""

from core.inference.predictor import Predictor

__all__ = ["Predictor"]
