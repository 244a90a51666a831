"""Shared by the evaluations; the app does not load it."""
