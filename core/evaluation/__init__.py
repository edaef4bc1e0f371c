"""Judging models on labelled scans: who is held out, what is measured, how it is shown."""
