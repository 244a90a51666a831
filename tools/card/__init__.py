"""Train AURAL's models on a borrowed GPU in a few minutes; README.md says what to send, run and fetch."""
