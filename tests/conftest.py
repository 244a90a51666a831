"""Fixtures that any test may take."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the first import of Gradio: tests stay offline

from tests.browser import chromium, page

__all__ = ["chromium", "page"]
