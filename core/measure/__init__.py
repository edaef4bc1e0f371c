"""Measures of masks: lesions, diameters, overlap and distance of outlines."""
