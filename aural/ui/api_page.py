"""What programs are told of the endpoints: parameters, results, valid examples, and snippets that run.

Gradio's page "Use via API" and its clients read it. From the components alone Gradio would ask for a number
where None is allowed too, describe its own classes, give examples that the verbs refuse (3 as a loudness, a
PDF as a recording), and print shell and JavaScript that do not run (see `docs/upstream.md`).
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio.routes
from gradio.blocks import Blocks
from gradio.components import Component
from gradio.utils import get_function_description

from aural.ui.examples import FOLDER
from aural.ui.fields import NOTHING
from aural.ui.overrides import replace

# The types of JSON by those of Python.
KINDS = {
    "bool": "boolean",
    "dict": "object",
    "float": "number",
    "int": "integer",
    "list": "array",
    "None": "null",
    "str": "string",
}
SERVED = "/gradio_api/file="  # precedes the path of a file in its address
LOCAL_ADDRESS = "http://127.0.0.1:7860"  # before the launch tells another
RECORDING = FOLDER / "phone_call.ogg"  # what the snippets send
ABOUT = Path(__file__).with_name("llms.txt")  # for assistants that meet a running app
RECORDINGS = (RECORDING, FOLDER / "noisy_memo.ogg")

Snippets = Callable[..., dict[str, str]]


def describe(demo: Blocks) -> None:
    """Describe the endpoints, their parameters and results by the docstrings of their functions.

    Call it inside the Blocks being built, last.
    """
    for endpoint in demo.fns.values():
        if endpoint.fn is None or endpoint.api_visibility != "public":
            continue
        does, explained, gives = get_function_description(endpoint.fn)
        endpoint.api_description = f"{does} Returns: {'; '.join(gives)}." if gives else does
        parameters = inspect.signature(endpoint.fn).parameters.values()
        for field, parameter in zip(endpoint.inputs, parameters, strict=False):
            if isinstance(field, Component):
                _describe_parameter(demo, field, parameter, _sentence(explained[parameter.name]))
        for output, given in zip(endpoint.outputs, gives, strict=False):
            if isinstance(output, Component):
                _describe_output(output, _sentence(given))


def install() -> None:
    """Let the page print our snippets."""
    theirs: Snippets | None = getattr(gradio.routes, "generate_code_snippets", None)
    if theirs is None or not getattr(theirs, "is_ours", False):
        replace(gradio.routes, "generate_code_snippets", _snippets(theirs), "its snippets are Gradio's own")


def _snippets(theirs: Snippets | None) -> Snippets:
    def snippets(api_name: str, endpoint: Mapping[str, Any], root: str, **more: Any) -> dict[str, str]:
        source = more.get("space_id") or root
        return {
            **(theirs(api_name, endpoint, root, **more) if theirs else {}),
            "bash": shell_snippet(api_name, endpoint["parameters"], root),
            "javascript": javascript_snippet(api_name, endpoint["parameters"], source),
        }

    snippets.is_ours = True  # type: ignore[attr-defined]
    return snippets


def shell_snippet(api_name: str, parameters: list[Mapping[str, Any]], root: str) -> str:
    """Lines for a POSIX shell with curl that call an endpoint and print the stream of its events."""
    root = root.rstrip("/")
    call = f"{root}/gradio_api/call"
    body = json.dumps({each["parameter_name"]: _given(each) for each in parameters}).replace("'", "'\\''")
    return (
        f"EVENT_ID=$(curl -s {call}/v2{api_name} -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}' \\\n"
        f"  | cut -d '\"' -f 4)\n"
        f'curl -sN {call}{api_name}/"$EVENT_ID"'
    )


def javascript_snippet(api_name: str, parameters: list[Mapping[str, Any]], source: str) -> str:
    """A module for Gradio's JavaScript client that calls an endpoint and prints its results."""
    lines = [f"\t{each['parameter_name']}: {json.dumps(_given(each))}," for each in parameters]
    return "\n".join(
        (
            'import { Client } from "@gradio/client";',
            "",
            f'const client = await Client.connect("{source}");',
            f'const result = await client.predict("{api_name}", {{',
            *lines,
            "});",
            "",
            "console.log(result.data);",
        )
    )


def _given(parameter: Mapping[str, Any]) -> Any:
    """What a snippet gives for a parameter; a file by its address alone."""
    value = parameter["parameter_default" if parameter["parameter_has_default"] else "example_input"]
    if isinstance(value, list):
        return [_by_address(each) for each in value]
    return None if value == NOTHING else _by_address(value)


def _by_address(value: Any) -> Any:
    if isinstance(value, dict) and "url" in value:
        return {"path": value["url"], "meta": value["meta"]}
    return value


def _describe_parameter(demo: Blocks, field: Component, parameter: inspect.Parameter, explained: str) -> None:
    told = field.api_info()
    kind = told.get("title")
    # A file keeps Gradio's own schema.
    if kind not in ("FileData", "ListFiles"):
        choices = [choice for choice in told.get("enum", ()) if choice != NOTHING]
        kinds = str(parameter.annotation).split(" | ")
        if getattr(field, "value", None) is None:  # Gradio adds None itself
            kinds = [kind for kind in kinds if kind != "None"]
        schemas = [_schema(kind, choices) for kind in kinds]
        told = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    told = {**told, "additional_description": explained}
    field.api_info = lambda: told  # type: ignore[method-assign]
    is_required = parameter.default is inspect.Parameter.empty

    def example() -> Any:
        if is_required and kind == "ListFiles":
            return [_file(demo, path) for path in RECORDINGS]
        return _file(demo, RECORDING) if is_required and kind == "FileData" else _default(field, parameter)

    field.example_inputs = example  # type: ignore[method-assign]


def _default(field: Component, parameter: inspect.Parameter) -> Any:
    """The value that a call gets where it leaves a parameter out."""
    shown = getattr(field, "value", None)
    return parameter.default if shown is None else shown


def _describe_output(output: Component, given: str) -> None:
    told = {**output.api_info(), "description": given}
    output.api_info_as_output = lambda: told  # type: ignore[method-assign]


def _file(demo: Blocks, path: Any) -> dict[str, Any]:
    """An example of ours as clients send it: by the address at which this app serves it."""
    address = f"{_address(demo)}{SERVED}{quote(str(path))}"
    return {"path": address, "url": address, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _address(demo: Blocks) -> str:
    """Where people reach this app, as far as it knows."""
    if host := os.environ.get("SPACE_HOST"):
        return f"https://{host}"
    root = os.environ.get("GRADIO_ROOT_PATH", "")
    known = (
        root if root.startswith(("http://", "https://")) else "",
        getattr(demo, "share_url", None),
        getattr(demo, "local_url", None),
    )
    return next(filter(None, known), LOCAL_ADDRESS).rstrip("/")


def _sentence(text: str) -> str:
    """
    >>> _sentence("random seed")
    'Random seed.'
    """
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _schema(kind: str, choices: list[Any]) -> dict[str, Any]:
    """The JSON schema of a Python type by its name; a name outside `KINDS` means a choice."""
    schema: dict[str, Any] = {"type": KINDS.get(kind.partition("[")[0], "string")}
    if choices and schema["type"] == "string":
        schema["enum"] = choices
    return schema
