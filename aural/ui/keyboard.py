"""Arrow keys move between tabs (`keyboard.js`)."""

from __future__ import annotations

from pathlib import Path

# Belongs into the page's head.
HEAD = f"<script>{Path(__file__).with_name('keyboard.js').read_text(encoding='utf-8')}</script>"
