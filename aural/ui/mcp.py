"""The verbs as tools of an MCP server.

Gradio serves every public endpoint to assistants over the Model Context Protocol. `Tools` differs from its
server as follows: a call without a progress token is answered in the same parts as one with it; figures are
JSON; pictures are small enough for a conversation; a file may be one that this app already holds, so that a
result can go to the next tool; several files may be given; a call ends when its caller disconnects.
"""

from __future__ import annotations

import base64
import io
import json
import mimetypes
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

import gradio as gr
import gradio.mcp
import httpx
from anyio import get_cancelled_exc_class, to_thread
from gradio.mcp import GradioMCPServer
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from gradio_client import utils as client_utils
from typing_extensions import override

from aural.errors import InputError
from aural.ui.api_page import SERVED
from aural.ui.overrides import replace
from aural.ui.storage import result_path

if TYPE_CHECKING:
    from gradio_client.utils import StatusUpdate  # type: ignore[import-untyped]
    from PIL.Image import Image

CLIENT_SECONDS = 60.0  # timeout of the app's calls to itself
PICTURE_PIXELS = 1000  # longest side of a picture in a tool's answer
PICTURE_COLOURS = 64
HOW_TO_GIVE_A_FILE = (
    " A file is given by its http or https address, which may be that of another tool's result, as a data: "
    "URI, or by the path that this app's /gradio_api/upload returns. The tool upload_file_to_gradio, if "
    "present, uploads one."
)
FILE_AS_SETTING = (
    "Only a tool's file arguments take files. Give the other settings as numbers, texts, true, false or null."
)
NO_FILE = (
    "{text!r} is not a file. Give its http or https address, the path that an upload to this app returned, "
    "or a data: URI."
)


class Tools(GradioMCPServer):
    """The public endpoints as tools of an MCP server."""

    _file_data_tool_description = HOW_TO_GIVE_A_FILE

    @override
    def get_input_schema(
        self, tool_name: str, parameters: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], list[list[str | int]]]:
        """The JSON schema of a tool's input, and where in it the files are."""
        schema, _ = super().get_input_schema(tool_name, parameters)
        fields = schema["properties"]
        files: list[list[str | int]] = []
        for parameter in self.api_info["named_endpoints"][self.tool_to_endpoint[tool_name]]["parameters"]:
            name = parameter["parameter_name"]
            field = fields[name]
            field.pop("additional_description", None)
            one = field.get("items", field)
            if str(one.get("format", "")).startswith("Gradio File Input"):
                files.append([name])
                # References to Gradio's own classes lead nowhere.
                kept = {"type": "string", "format": one["format"]}
                told = {"type": "array", "items": kept} if "items" in field else kept
                field = {**told, "description": field.get("description", "")}
            if parameter["parameter_has_default"] and parameter["parameter_default"] is None:
                field = _or_null(field)
            fields[name] = field
        return schema, files

    @override
    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """The arguments of a call, with the files as Gradio expects them."""
        files = {position[0] for position in filedata_positions}
        # Gradio calls the app by a client on this machine, which would upload any local file named in the
        # other arguments.
        return {
            name: self._files(given)
            if name in files
            else client_utils.traverse(given, _refuse, client_utils.is_file_obj)
            for name, given in value.items()
        }

    def _files(self, given: Any) -> Any:
        if isinstance(given, list):
            return [self._files(one) for one in given]
        return given if given is None else handle_file(self._place(str(given)))

    def _place(self, text: str) -> str:
        """The address of an external file, or the path of one that this app holds."""
        if text.startswith("data:"):
            return _save_data_uri(text)
        _, served, path = text.rpartition(SERVED)
        if served or not text.startswith(("http://", "https://")):
            held = Path(unquote(path) if served else text).resolve()
            # Whoever knows such a path can download the file anyway.
            if held.is_relative_to(Path(get_upload_folder()).resolve()) and held.is_file():
                return str(held)
        if text.startswith(("http://", "https://")):
            return text
        raise InputError(NO_FILE.format(text=text[:80]))

    @override
    def _get_or_create_client(self) -> Client:
        client = super()._get_or_create_client()
        client.httpx_kwargs.setdefault("timeout", CLIENT_SECONDS)
        return client

    @override
    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        with _cancel_with_call(job):
            answer = await to_thread.run_sync(job.result, abandon_on_cancel=True)
        return list(answer) if isinstance(answer, tuple) else [answer]

    @override
    async def _execute_tool_with_progress(self, job: Any, progress_token: str | int) -> Any:
        with _cancel_with_call(job):
            try:
                return await super()._execute_tool_with_progress(job, progress_token)
            except RuntimeError as error:
                raise RuntimeError(str(error).removeprefix("Error: ")) from None

    @staticmethod
    @override
    def _format_progress_message(update: StatusUpdate) -> str | None:
        for unit in update.progress_data or ():
            if unit.progress is not None:
                return f"{unit.desc or 'Working'}: {unit.progress:.0%}"
        return GradioMCPServer._format_progress_message(update)

    @staticmethod
    @override
    def pop_returned_state(components: Sequence[Any], data: Any) -> list[Any]:
        """The outputs without those that only the page keeps; of several, Gradio's own removes wrong ones."""
        return [
            one
            for component, one in zip(components, data, strict=True)
            if not isinstance(component, gr.State)
        ]

    @override
    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        """The contents of an answer: files as addresses, pictures also as images, figures as JSON."""
        contents: list[Any] = []
        for output in data:
            parts = output if _is_list_of_files(output) else [output]
            for part in parts:
                if not _is_file(part):
                    part = json.dumps(part, ensure_ascii=False)
                contents += super().postprocess_output_data([part], root_url)
        return contents

    @staticmethod
    @override
    def get_base64_data(image: Image, format: str) -> str:
        """A small version of a picture."""
        small = image.convert("RGB")
        small.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
        buffer = io.BytesIO()
        small.quantize(PICTURE_COLOURS).save(buffer, format)
        return base64.b64encode(buffer.getvalue()).decode()


def install() -> bool:
    """Make `launch(mcp_server=True)` serve `Tools`; returns whether it does.

    Gradio's own server must not serve instead: a call could read the server's files.
    """
    return replace(gradio.mcp, "GradioMCPServer", Tools, "assistants find no tools here")


def _refuse(_: Any) -> Any:
    raise InputError(FILE_AS_SETTING)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema with null allowed."""
    described = {"description": schema["description"]} if "description" in schema else {}
    rest = {name: told for name, told in schema.items() if name != "description"}
    return {"anyOf": [*rest.get("anyOf", [rest]), {"type": "null"}], **described}


def _save_data_uri(uri: str) -> str:
    """Write the contents of a data: URI to a new file, which is swept like a result; returns its path."""
    head, comma, body = uri.partition(",")
    kind = head.removeprefix("data:")
    try:
        content = base64.b64decode(body) if kind.endswith(";base64") else unquote_to_bytes(body)
    except ValueError:
        raise InputError(NO_FILE.format(text=uri[:40])) from None
    if not comma:
        raise InputError(NO_FILE.format(text=uri[:40]))
    suffix = mimetypes.guess_extension(kind.partition(";")[0]) or ""
    path = Path(result_path("audio", "given")).with_name(f"audio{suffix}")
    path.write_bytes(content)
    return str(path)


@contextmanager
def _cancel_with_call(job: Any) -> Iterator[None]:
    try:
        yield
    except get_cancelled_exc_class():
        threading.Thread(target=_cancel, args=[job], daemon=True).start()  # the request goes to this server
        raise


def _cancel(job: Any) -> None:
    with suppress(httpx.HTTPError):  # the request counts, not its answer
        job.cancel()


def _is_file(output: Any) -> bool:
    return isinstance(output, dict) and output.get("meta", {}) == {"_type": "gradio.FileData"}


def _is_list_of_files(output: Any) -> bool:
    return isinstance(output, list) and bool(output) and all(map(_is_file, output))
