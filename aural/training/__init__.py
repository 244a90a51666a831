"""Shared by the training modules; the app does not load it."""
