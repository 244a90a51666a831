"""Links: what stands in an address, and what an address sets."""

from urllib.parse import parse_qsl, urlsplit

import gradio as gr
import pytest

import app
from aural.ui.links import link, parse_query
from aural.ui.page import Page, Tab, page

ADDRESS = "http://127.0.0.1:7860/"


@pytest.fixture
def tab() -> Tab:
    """One page inside two layers of tabs, with a control of every kind, one of them in a closed section."""
    with gr.Blocks(), gr.Tabs(), gr.Tab("Outer", id="enhance"):
        audio = gr.Audio()
        with gr.Tabs(), gr.Tab("Inner", id="inner"):
            preset = gr.Radio([("None at all", ""), ("Podcast", "podcast"), ("48 kHz", 48_000)], value="")
            strength = gr.Slider(0, 1, 0.6, step=0.05)
            with gr.Accordion("Advanced", open=False):
                loop = gr.Checkbox(True)
                seed = gr.Number(None)
                words = gr.Textbox("", max_length=12)
            controls = {
                "preset": preset,
                "strength": strength,
                "loop": loop,
                "seed": seed,
                "words": words,
            }
            return Tab("enhance", audio, [page("enhance", "Enhance", controls)], [])


def the_page(tab: Tab) -> Page:
    return tab.pages[0]


def set_by(tab: Tab, **query: str) -> tuple[dict[str, object], list[str]]:
    """The values that a link sets, by name, and its complaints."""
    updates, complaints = parse_query({"enhance": the_page(tab)}, {"tab": "enhance", **query})
    names = {control: name for name, control in the_page(tab).controls.items()}
    return {names[one]: update["value"] for one, update in updates.items() if one in names}, complaints


def test_a_link_at_first_names_the_tab_alone(tab: Tab) -> None:
    assert link(the_page(tab), ["", 0.6, True, None, None], ADDRESS) == f"{ADDRESS}?tab=enhance"


@pytest.mark.parametrize(
    "values",
    [
        ["podcast", 0.05, False, 7, "a dog & cat"],
        [48_000, 1, True, 2**32 - 1, ""],
        ["", 0.15, True, 0, "42"],
        ["podcast", 0, True, -3.25, ""],
    ],
)
def test_a_link_gives_back_what_was_set(tab: Tab, values: list[object]) -> None:
    query = dict(parse_qsl(urlsplit(link(the_page(tab), values, ADDRESS)).query))
    assert query.pop("tab") == "enhance"
    found, complaints = set_by(tab, **query)
    defaults = {"preset": "", "strength": 0.6, "loop": True, "seed": None, "words": ""}
    assert {**defaults, **found} == dict(zip(defaults, values, strict=True))
    assert complaints == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"strength": "1.01"}, "from 0 to 1"),
        ({"strength": "nan"}, "from 0 to 1"),
        ({"strength": "half"}, "from 0 to 1"),
        ({"preset": "studio"}, "'studio', which is not an option"),
        ({"loop": "maybe"}, "true or false"),
        ({"seed": "x" * 1000}, "not a number"),
        ({"seed": "<script>alert(1)</script>"}, "not a number"),
    ],
)
def test_what_cannot_be_set_is_told_and_the_rest_is_set(tab: Tab, query: dict[str, str], words: str) -> None:
    found, complaints = set_by(tab, **{"strength": "0.25", **query})
    assert found == ({} if "strength" in query else {"strength": 0.25})
    (complaint,) = complaints
    assert words in complaint and len(complaint) < 200 and complaint.endswith(".")


def test_a_long_text_is_cut_to_what_its_field_takes(tab: Tab) -> None:
    assert set_by(tab, words=100 * "dog ") == ({"words": "dog dog dog "}, [])


def test_names_that_no_page_knows_change_nothing(tab: Tab) -> None:
    assert set_by(tab, __theme="dark", colour="red") == ({}, [])


def test_a_tab_that_does_not_exist_is_told(tab: Tab) -> None:
    updates, (complaint,) = parse_query({"enhance": the_page(tab)}, {"tab": "../../etc"})
    assert not updates and "'../../etc'" in complaint


def test_a_link_opens_the_tabs_and_the_sections_of_what_it_sets(tab: Tab) -> None:
    def kinds(**query: str) -> list[tuple[str, object]]:
        updates, _ = parse_query({"enhance": the_page(tab)}, {"tab": "enhance", **query})
        return [
            (type(one).__name__, update.get("selected", update.get("open")))
            for one, update in updates.items()
            if isinstance(one, (gr.Tabs, gr.Accordion))
        ]

    assert kinds() == [("Tabs", "enhance"), ("Tabs", "inner")]
    assert ("Accordion", True) in kinds(seed="3")
    assert ("Accordion", True) not in kinds(strength="0.5")


def test_what_is_shown_is_the_way_from_the_outside_in(tab: Tab) -> None:
    page = the_page(tab)
    way = page.ways[page.controls["seed"]]
    assert [type(one).__name__ for one, _ in way] == ["Tabs", "Tabs", "Accordion"]


def test_a_link_works_for_the_next_visitor_too(tab: Tab) -> None:
    """Gradio takes the updates apart, and the button that was clicked off its place."""
    first, _ = parse_query({"enhance": the_page(tab)}, {"tab": "enhance", "seed": "3"})
    wanted = {one: dict(update) for one, update in first.items()}
    for update in first.values():
        update.clear()
    the_page(tab).run.parent = None
    assert parse_query({"enhance": the_page(tab)}, {"tab": "enhance", "seed": "3"})[0] == wanted


def test_every_page_of_the_app_has_a_link_of_its_own() -> None:
    demo = app.build()
    copies = [block for block in demo.blocks.values() if getattr(block, "value", None) == "Copy link"]
    endpoints = {fn.api_name for fn in demo.fns.values() if fn.api_visibility == "public"}
    assert len(copies) == len(endpoints)
