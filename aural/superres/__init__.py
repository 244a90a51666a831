"""Super-resolution: reconstructs missing high frequencies, at any sample rate."""
