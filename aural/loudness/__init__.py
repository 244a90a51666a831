"""Down-mix and loudness: `measure`, `master` and the spectrogram round trip."""
