"""A narrow band in, the full band out, at any rate."""
