"""What a link to the page shows elsewhere: one set of tags, with our picture at an address that answers."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from PIL import Image

from aural.ui import card

TAG = re.compile(r'<meta (?:property|name)="([^"]+)" content="([^"]*)" />')


@pytest.fixture(scope="module")
def head(address: str) -> str:
    page = httpx.get(address, timeout=60)
    assert int(page.headers["content-length"]) == page.num_bytes_downloaded
    return page.text.partition("<script")[0]


def test_a_shared_link_has_our_name_sentence_and_picture_alone(head: str, address: str) -> None:
    tags = {name: unescape(text) for name, text in TAG.findall(head)}
    assert head.count("og:title") == head.count('og:image"') == head.count("twitter:card") == 1
    assert tags["og:title"] == "AURAL" and head.count("<title>AURAL</title>") == 1
    assert tags["description"] == tags["og:description"] == card.DESCRIPTION
    assert tags["og:url"] == address
    picture = httpx.get(tags["og:image"])
    assert picture.headers["content-type"] == "image/png" and picture.content == card.CARD.read_bytes()
    assert "gradio" not in "".join(tags[name].lower() for name in tags if name != "og:image")


def test_the_addresses_are_those_by_which_a_proxy_is_reached() -> None:
    page = (
        b'<meta charset="utf-8" />\n<meta property="og:title" content="Gradio" /><script>"og:title"</script>'
    )
    made = card.with_tags(page, "https://aural.example.org/here/").decode()
    assert f'content="https://aural.example.org/here/gradio_api/file={card.CARD}"' in made
    assert "Gradio" not in made and made.endswith('<script>"og:title"</script>')


def test_the_pictures_have_the_size_that_is_told_and_the_page_our_icon(address: str) -> None:
    assert Image.open(card.CARD).size == card.SIZE
    assert httpx.get(f"{address}favicon.ico").content == card.ICON.read_bytes()
