"""What the page does without, so that a first visit is light."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest
from gradio import routes
from playwright.sync_api import Page

import app
from aural.generation.tab import CANDIDATES
from aural.ui import first_visit


def test_the_page_leaves_out_what_only_programs_read() -> None:
    with gr.Blocks() as demo:
        gr.Slider(0, 1, label="Mix")
    config = demo.get_config_file()
    (slider,) = (one for one in first_visit.for_the_page(config)["components"] if one["type"] == "slider")
    (full,) = (one for one in config["components"] if one["type"] == "slider")
    assert slider["props"]["label"] == "Mix"
    assert set(full) - set(slider) >= {"api_info", "example_inputs"}
    assert first_visit.for_the_page({"named_endpoints": {}}) == {"named_endpoints": {}}


def test_every_export_of_the_stream_player_has_a_stand_in() -> None:
    (module,) = first_visit.ASSETS.glob("hls-*.js")
    stub = first_visit.without_streams(module.read_text(encoding="utf-8"))
    assert stub is not None and len(stub) < 200
    users = [path.read_text(encoding="utf-8") for path in module.parent.glob("StaticAudio-*.js")]
    assert users
    for text in users:
        imported = text.partition(f'from"./{module.name}"')[0].rpartition("import{")[2].rstrip("}")
        for name in imported.split(","):
            assert f"no as {name.split(' as ')[0]}" in stub


@pytest.mark.browser
def test_the_index_finds_what_gradio_finds(page: Page) -> None:
    (module,) = first_visit.ASSETS.glob("core-*.js")
    theirs = module.read_text(encoding="utf-8")
    ours = first_visit.indexed(theirs)
    assert ours is not None and first_visit.EVENTS not in ours
    find = first_visit.FIND.search(theirs)
    assert find is not None
    found = page.evaluate(
        f"""() => {{
          {find[0]}
          {first_visit.INDEX}
          const component = (id) => ({{ id, props: {{ shared_props: {{}} }} }});
          const theirs = {{ {first_visit.EVENTS} }}, ours = {{ {first_visit.INDEXED_EVENTS} }};
          const events = [
            {{ targets: [[1, "click"], [2, "change"], [1, "input"]] }},
            {{ targets: [[null, "success"]] }},
            {{ targets: [[2, null]] }},
            {{ targets: [[1, "change"]] }},
          ];
          const names = (side, id) =>
            side.find_attached_events(component(id), events).props.shared_props.attached_events;
          const differ = [];
          const compare = (what, ...both) => {{
            const [a, b] = both.map((one) => JSON.stringify(one));
            if (a !== b) differ.push([what, a, b]);
          }};
          for (const id of [1, 2, 3]) compare(`events of ${{id}}`, names(theirs, id), names(ours, id));
          events.push({{ targets: [[3, "upload"]] }});
          for (const id of [1, 2, 3]) compare(`later events of ${{id}}`, names(theirs, id), names(ours, id));

          const child = {{ id: 1, children: [{{ id: 2 }}, {{ id: 3, children: [] }}] }};
          const root = {{ id: 0, children: [child, {{ id: 4 }}] }};
          const all = (what) => [0, 1, 2, 3, 4, 5, null, undefined].forEach((id) => {{
            if ({find["name"]}(root, id) !== auralFind(root, id)) differ.push(`${{what}}: ${{id}}`);
          }});
          all("first");
          all("again");
          child.children.reverse();
          all("moved");
          child.children[1] = {{ id: 5 }};
          all("replaced");
          root.children.shift();
          all("removed");
          return {{ differ, names: [1, 2, 3].map((id) => names(ours, id)) }};
        }}"""
    )
    assert found == {"differ": [], "names": [["click", "change"], ["change"], ["upload"]]}


def test_a_page_that_is_written_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(routes.templates.env.filters, "toorjson")
    first_visit.install()
    monkeypatch.delattr(routes, "templates")
    first_visit.install()


@pytest.mark.parametrize("module", ["", "export default 3;", "const a=1;export{a};", "export{a as b};f()"])
def test_another_kind_of_module_is_left_alone(module: str) -> None:
    assert first_visit.without_streams(module) is None
    assert first_visit.indexed(module) is None


def test_the_page_begins_with_two_candidates_for_a_sound_and_programs_with_one() -> None:
    config = app.demo.get_config_file()

    def candidates(given: Any) -> Any:
        fields = [one["props"] for one in given["components"] if one["props"].get("elem_id") == CANDIDATES]
        assert len(fields) == 1
        return fields[0]["value"]

    assert candidates(config) == 1
    assert candidates(first_visit.for_the_page(config)) == 2
