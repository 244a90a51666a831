"""Down-mix and loudness: `measure` and `master`."""
