"""A phone recording in, a studio recording out."""
