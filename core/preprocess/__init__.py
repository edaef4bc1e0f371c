"""From a scan to what the network sees: plane, channel, grid, 8 bit, CLAHE, grey scale."""
