"""What a review is, without a window: cases, verdicts, results, export. Nothing in here knows Qt."""
