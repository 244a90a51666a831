"""A class in, a believable sound out: the 50 classes of ESC-50 by diffusion on mel spectrograms."""
