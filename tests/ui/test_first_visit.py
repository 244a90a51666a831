"""What the page does without, so that a first visit is light."""

from __future__ import annotations

import gradio as gr
import pytest
from gradio import routes

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


def test_a_page_that_is_written_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(routes.templates.env.filters, "toorjson")
    first_visit.install()
    monkeypatch.delattr(routes, "templates")
    first_visit.install()


@pytest.mark.parametrize("module", ["", "export default 3;", "const a=1;export{a};", "export{a as b};f()"])
def test_another_kind_of_module_is_left_alone(module: str) -> None:
    assert first_visit.without_streams(module) is None
