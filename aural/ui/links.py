"""Addresses of a page with its settings, as links and in the browser.

`?tab=enhance&strength=0.7` opens the tab Enhance with that strength. Other settings keep their defaults. A
value that cannot be used is reported, and the default is used instead. The browser's address follows the tab
and its settings (`address.js`), and names the run whose result is shown (`jobs.py`); links name no run.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from aural.errors import OptionError
from aural.options import FALSE, TRUE
from aural.ui import jobs
from aural.ui.fields import NOTHING, changed, page_value, takes_files
from aural.ui.page import COPY_LINK, Page, Tab
from aural.ui.run_state import PRIVATE

NONE = "none"  # None in an address
MAX_WORD_LENGTH = 40  # of a value in a message
MAX_COMPLAINTS = 3

# Only the browser knows the app's address.
ADD_ADDRESS = "(_, ...values) => [location.origin + location.pathname, ...values]"
# The button says for a moment what came of it; without a clipboard, the link's field is there to copy from.
COPIED, NOT_COPIED = "Copied", "Copy it below"
COPY = f"""async (link) => {{
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  return copied ? "{COPIED}" : "{NOT_COPIED}";
}}"""
SAY_AGAIN = f"() => new Promise((done) => setTimeout(() => done('{COPY_LINK}'), 2000))"


def connect(demo: gr.Blocks, tabs: Sequence[Tab], notice: gr.HTML) -> None:
    """Apply the address when the page loads, and let the buttons create such addresses.

    Args:
        notice: shows what is wrong with an address; hidden until then.
    """
    pages = [page for tab in tabs for page in tab.pages]
    by_name = {page.name: page for page in pages}
    by_name |= {tab.id: tab.pages[0] for tab in tabs if tab.id not in by_name}
    controls = list({control: None for page in pages for control in page.controls.values()})
    containers = list({one: None for page in pages for way in page.ways.values() for one, _ in way})

    runs = {page.name: page for page in pages if page.inputs}
    inputs = list({field: None for page in runs.values() for field in page.inputs if _is_shown(field)})
    resumed = gr.Textbox(visible=False)  # the page whose run goes on, and its settings

    def follow(request: gr.Request) -> dict[Block, Any]:
        # Gradio sets an empty number to 0 once its section opens, unless the page's load has emptied it.
        empty: dict[Block, Any] = {
            field: gr.update(value=None) for field in controls if _is_empty_number(field)
        }
        updates, complaints = parse_query(by_name, dict(request.query_params))
        job, going_on = None, ""
        if key := jobs.asked(request):
            job = jobs.find(key)
            if job is None or job.page not in runs:
                complaints.append(jobs.GONE)
            else:
                given = _inputs_of(runs[job.page], job.values)
                updates |= {field: gr.update(value=value) for field, value in given.items()}
                if job.state != "ended":
                    settings = [
                        [] if takes_files(field) or field not in given else [given[field]]
                        for field in runs[job.page].inputs
                    ]
                    going_on = json.dumps({"page": job.page, "values": settings})
        told = " ".join(html.escape(complaint) for complaint in complaints[:MAX_COMPLAINTS])
        shown = gr.update(value=f'<p role="alert">{told}</p>', visible=bool(told))
        return {**empty, **updates, notice: shown, resumed: going_on}

    followed = demo.load(
        follow,
        None,
        list(dict.fromkeys((*containers, *controls, *inputs, notice, resumed))),
        **PRIVATE,
    )
    resumed.change(None, resumed, None, js="(told) => auralAddress.resume(told)", **PRIVATE)
    _write_addresses(demo, followed, tabs)
    for page in pages:
        copied = page.copy.click(
            lambda address, *values, page=page: gr.Textbox(link(page, values, address), visible=True),
            [page.link, *page.controls.values()],
            page.link,
            js=ADD_ADDRESS,
            **PRIVATE,
        )
        for given, script in (page.link, COPY), (None, SAY_AGAIN):
            copied = copied.then(None, given, page.copy, js=script, api_visibility="private", queue=False)


def _write_addresses(demo: gr.Blocks, followed: Dependency, tabs: Sequence[Tab]) -> None:
    """Let the browser's address follow the tab and its settings, and files outlast a reload.

    Args:
        followed: the event that has set the page by the address.
    """
    known = {
        page.name: {
            "tab": tab.id,
            "defaults": {name: _as_text(page_value(control)) for name, control in page.controls.items()},
        }
        for tab in tabs
        for page in tab.pages
    }
    names = json.dumps([tab.id for tab in tabs])
    demo.load(None, None, None, js=f"() => auralAddress.open({json.dumps(known)}, {names})", **PRIVATE)
    followed.then(None, None, None, js="() => auralAddress.opened()", **PRIVATE)
    takers = {
        page.name: page.inputs[0]
        for tab in tabs
        for page in tab.pages
        if page.inputs and takes_files(page.inputs[0])
    }
    fields = list(dict.fromkeys(takers.values()))
    holders = [next(name for name, field in takers.items() if field is each) for each in fields]
    demo.load(None, None, fields, js=f"() => auralAddress.files({json.dumps(holders)})", **PRIVATE)
    for tab in tabs:
        for page in tab.pages:
            *inner, outer = _tabs_around(page.run)
            if page is tab.pages[0]:
                js = f"() => auralAddress.select('{tab.id}')"
                outer.select(None, None, None, js=js, **PRIVATE)
            for item in inner:
                js = f"() => auralAddress.select('{tab.id}', '{page.name}')"
                item.select(None, None, None, js=js, **PRIVATE)
            controls = list(page.controls.values())
            js = f"(...values) => auralAddress.set('{page.name}', values)"
            if controls:
                gr.on([changed(control) for control in controls], None, controls, None, js=js, **PRIVATE)


def _tabs_around(component: Block) -> list[gr.Tab]:
    """From the inside out."""
    around: list[Block] = [component]
    while around[-1].parent is not None:
        around.append(around[-1].parent)
    return [one for one in around if isinstance(one, gr.Tab)]


def _is_shown(field: Block) -> bool:
    return not isinstance(field, gr.State)


def _inputs_of(page: Page, values: Sequence[Any]) -> dict[Block, Any]:
    """What gives the inputs of a run back to its page."""
    return {
        field: NOTHING if value is None and isinstance(field, gr.Dropdown | gr.Radio) else value
        for field, value in zip(page.inputs, values, strict=True)
        if _is_shown(field)
    }


def link(page: Page, values: Iterable[Any], address: str) -> str:
    """The address of a page with these values of its controls; defaults are left out."""
    query = {"tab": page.name}
    for (name, control), value in zip(page.controls.items(), values, strict=True):
        if _as_text(value) != _as_text(page_value(control)):
            query[name] = _as_text(value)
    return f"{address}?{urlencode(query)}"


def parse_query(
    pages: Mapping[str, Page], query: Mapping[str, str]
) -> tuple[dict[Block, dict[str, Any]], list[str]]:
    """The updates of tabs, sections and controls that an address asks for, and its errors as sentences."""
    if "tab" not in query:
        return {}, []
    name = query["tab"]
    if name not in pages:
        return {}, [f"This link's tab ({_word(name)}) doesn't exist. Pick one below."]
    page = pages[name]
    updates: dict[Block, dict[str, Any]] = {}
    complaints = []
    for name, control in page.controls.items():
        if name in query:
            try:
                updates[control] = gr.update(value=_value(name, control, query[name]))
                updates |= _reveal(page, control)
            except OptionError as error:
                complaints.append(str(error))
    return updates | _reveal(page, page.run), complaints


def _reveal(page: Page, component: Block) -> dict[Block, dict[str, Any]]:
    """The updates that make a component of the page visible."""
    return {one: gr.update(**change) for one, change in page.ways[component]}


def _value(name: str, control: gr.components.Component, text: str) -> Any:
    """A control's value from its text in an address."""
    remedy = "The default is used instead."
    if isinstance(control, gr.Checkbox):
        if text.lower() not in TRUE + FALSE:
            raise OptionError(f"This link sets {name} to {_word(text)}, which is not true or false. {remedy}")
        return text.lower() in TRUE
    if isinstance(control, (gr.Dropdown, gr.Radio)):
        for _, value in control.choices:
            if _as_text(value) == text:
                return value
        raise OptionError(f"This link sets {name} to {_word(text)}, which is not an option. {remedy}")
    if isinstance(control, gr.Textbox):
        return NOTHING if text == NONE else text[: control.max_length]
    if text == NONE and control.value is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    low, high = (
        (control.minimum, control.maximum) if isinstance(control, gr.Slider) else (-math.inf, math.inf)
    )
    if not (math.isfinite(number) and low <= number <= high):
        wanted = f"a number from {low:g} to {high:g}" if math.isfinite(low) else "a number"
        raise OptionError(f"This link sets {name} to {_word(text)}, which is not {wanted}. {remedy}")
    return int(number) if number.is_integer() else number


def _as_text(value: Any) -> str:
    if value is None or value == NOTHING:
        return NONE
    if isinstance(value, bool):
        return TRUE[0] if value else FALSE[0]
    return f"{value:.15g}" if isinstance(value, (int, float)) else str(value)


def _word(text: str) -> str:
    return repr(text if len(text) <= MAX_WORD_LENGTH else text[: MAX_WORD_LENGTH - 1] + "…")


def _is_empty_number(field: gr.components.Component) -> bool:
    return isinstance(field, gr.Number) and field.value is None
