"""What a spectrogram keeps of a sound: a clip goes into one and comes back."""
