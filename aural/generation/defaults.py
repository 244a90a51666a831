"""Defaults that the verb and the diffusers pipeline share; the generator's card says how they were chosen."""

STEPS = 20  # denoising steps
GUIDANCE = 1.75  # scale of the guidance
