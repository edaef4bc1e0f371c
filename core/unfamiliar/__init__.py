"""Whether a picture looks like what a model learnt from, told from the picture alone."""
