"""From a scan to what the network sees: plane, channels, intensity, grid, CLAHE, grey scale."""
