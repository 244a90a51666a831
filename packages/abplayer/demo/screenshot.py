"""Take the README's picture of the demo: python demo/screenshot.py

Needs playwright and pillow, and the package `chromium`. Writes player.png, with at most 256 colours.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import gradio as gr
from PIL import Image
from playwright.sync_api import sync_playwright

from app import HEAD, demo

PICTURE = Path(__file__).parents[1] / "player.png"

if __name__ == "__main__":
    # One font of the machine for all weights.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"])
    _, address, _ = demo.launch(head=HEAD, theme=theme, prevent_thread_lock=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 960, "height": 900})
        page.goto(address)
        player = page.locator(".ab")
        player.locator(".ab-seek").fill("1.3")
        player.get_by_role("button", name="ABX test").press("Enter")
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        picture = Image.open(io.BytesIO(player.screenshot()))
        browser.close()
    picture.convert("RGB").quantize(256).save(PICTURE, optimize=True)
    demo.close()
