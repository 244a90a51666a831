"""Hostile input at every endpoint of the running app: `python -m tests.bench.fuzz --inputs 2000 --seed 0`.

Each input must be answered with a result or with a sentence of ours. What Gradio refuses before the app sees
it is counted apart. A failure is: an exception that went past the app's own errors, an HTTP 500, no answer,
a server that has ended or grown beyond a bound, a program that was started, a file from outside of the app's
folders in an answer or copied into them, or a request that the server makes at a visitor's bidding.

Input `i` of a seed is always the same one, up to the serial numbers that encoders draw:
`--seed 0 --first 17 --inputs 1` repeats number 17. What failed is kept in `--keep` too.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import struct
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
import numpy as np
import soundfile

from tests.bench.hostile import (
    GOOD_NAME,
    META,
    Input,
    Place,
    Surroundings,
    Target,
    Upload,
    draw_input,
    sound_file,
)
from tests.enhancement import tiny as tiny_enhancement
from tests.generation import tiny as tiny_generation
from tests.serving import ROOT, Server
from tests.superres import tiny as tiny_superres

AT_ONCE = 2  # inputs, as many as the app works on: it never has to refuse one because of the queue
ANSWER_SECONDS = 180.0
MEMORY_BYTES = (
    3 * 2**30
)  # of the server: its libraries take a third, and no input here holds a second of sound
LONGEST_SENTENCE = 600  # characters: a message does not hand a long value back

Verdict = Literal["result", "ours", "gradio", "failure"]


@dataclass(frozen=True)
class Outcome:
    """What became of an input."""

    input: Input
    verdict: Verdict
    detail: str  # the sentence, or what is wrong
    seconds: float


@dataclass(frozen=True)
class Report:
    """What a run has found."""

    outcomes: list[Outcome]
    troubles: list[str]  # what no single input answers for
    idle_bytes: int  # memory of the server at first
    peak_bytes: int
    stored: tuple[int, int]  # files in the folder of uploads and results, and their bytes
    seconds: float

    @property
    def failures(self) -> list[str]:
        """Everything that must not be, a line each; an input's begins with its number."""
        lines = []
        for outcome in self.outcomes:
            given = outcome.input
            if outcome.verdict == "failure":
                lines.append(
                    f"{given.number}: {given.endpoint}, {given.kind}: {given.what}: {outcome.detail}"
                )
        return lines + self.troubles


def run(folder: Path, numbers: Sequence[int], seed: int, keep: Path | None = None) -> Report:
    """Send the inputs of these numbers to an app of its own.

    Args:
        folder: for checkpoints, uploads and the files that nobody may read.
        keep: gets the inputs that failed.
    """
    begun = time.monotonic()
    secrets = _write_secrets(folder / "outside")
    write_tiny_checkpoints(folder / "checkpoints")
    started = _write_programs(folder / "programs")
    environment = {
        "AURAL_CHECKPOINTS": str(folder / "checkpoints"),
        "AURAL_FUZZ_SECRET": SECRET.decode(),
        "PATH": f"{started.parent}{os.pathsep}{os.environ['PATH']}",
    }
    with _canary() as (canary, asked), Server(folder, environment) as server, _watched(server) as memory:
        around = _surroundings(server, canary, secrets)
        judge, local = Evaluator(server), threading.local()

        def answered(number: int) -> Outcome | None:
            if not server.is_alive:
                return None
            if not hasattr(local, "visitor"):
                local.visitor = Visitor(server.address)
            given = draw_input(seed, number, around)
            start, logged = time.monotonic(), server.logged_bytes()
            try:
                verdict, detail = judge.verdict(given, local.visitor.send(given), logged)
            except (httpx.HTTPError, ValueError) as error:
                verdict, detail = "failure", f"{type(error).__name__}: {error}"
            outcome = Outcome(given, verdict, detail, time.monotonic() - start)
            if verdict == "failure" and keep:
                _keep(outcome, keep)
            return outcome

        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = [outcome for outcome in pool.map(answered, numbers) if outcome]
        troubles = [f"The server was made to ask a service on loopback: {address}" for address in asked]
        troubles += [f"{path} holds what stands in a file outside." for path in judge.leaks()]
        if started.exists():
            troubles.append(f"Programs were started:\n{started.read_text()[:2_000]}")
        if not server.is_alive:
            troubles.append(f"The server has ended:\n{server.log.read_text(errors='replace')[-2_000:]}")
        if max(memory) > MEMORY_BYTES:
            troubles.append(f"The server took {max(memory) / 2**20:.0f} MiB of memory.")
        seconds = time.monotonic() - begun
        return Report(outcomes, troubles, memory[0], max(memory), server.stored(), seconds)


def write_tiny_checkpoints(folder: Path) -> None:
    """Every network, with random weights and a few kilobytes."""
    tiny_generation.write_checkpoints(folder)
    tiny_enhancement.write_checkpoints(folder)
    tiny_superres.write_checkpoints(folder)


# --- Around the app ---------------------------------------------------------------------------------------

SECRET = b"the-secret-of-this-run-1b7f0c"

# By which an answer is known to hold a file of the server: of the secret ones, of /etc/passwd, and of ours.
TELLTALES = (SECRET, b"root:x:0:0", b'"""AURAL: builds the Blocks', b'"licence"', b"[remote ")


def _write_secrets(folder: Path) -> tuple[Path, ...]:
    """Files outside of the app's folders: a text, and a sound that could be read as one."""
    folder.mkdir()
    text, sound = folder / "secret.txt", folder / "secret.wav"
    text.write_bytes(SECRET + b"\n")
    sound.write_bytes(sound_file("WAV 16", 8_000, 1) + b"LIST" + struct.pack("<I", len(SECRET)) + SECRET)
    return text, sound


def _write_programs(folder: Path) -> Path:
    """Programs that only note that they were started; returns the file in which they do."""
    folder.mkdir()
    record = folder / "started.txt"
    for name in ("ffmpeg", "ffprobe", "avconv", "avprobe"):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "$0 $@" >> {record}\n')
        program.chmod(0o755)
    return record


@contextmanager
def _canary() -> Iterator[tuple[str, list[str]]]:
    """A service on loopback: its address, and what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(sound_file("WAV 16", 8_000, 1))

        do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


@contextmanager
def _watched(server: Server) -> Iterator[list[int]]:
    """The server's memory in bytes, four times a second."""
    found, over = [server.resident_bytes()], threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            found.append(server.resident_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _surroundings(server: Server, canary: str, secrets: tuple[Path, ...]) -> Surroundings:
    """What the app tells of itself."""
    config = httpx.get(f"{server.address}/config", timeout=60).json()
    public = server.info()
    targets = [
        Target(name, {each["parameter_name"]: each for each in endpoint["parameters"]})
        for name, endpoint in sorted(public.items())
    ]
    functions = [
        (component["id"], name)
        for component in config["components"]
        for name in component["props"].get("server_fns") or []
    ]
    events = [
        {
            "id": event["id"],
            "name": event["api_name"],
            "inputs": event["inputs"],
            "loads": any(trigger == "load" for _, trigger in event["targets"]),
        }
        for event in config["dependencies"]
        if event["backend_fn"] and f"/{event['api_name']}" not in public
    ]
    tools = httpx.get(f"{server.address}/gradio_api/mcp/schema", timeout=60)
    return Surroundings(
        tuple(targets),
        server.files,
        canary,
        secrets,
        tuple(functions),
        tuple(events),
        tools.status_code == 200,
    )


# --- Sending an input -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What the app said to an input."""

    text: str  # all of it, or its last line
    status: int = 200  # of HTTP; 0: the stream ended without an answer
    error: Mapping[str, Any] | None = None  # as Gradio sends it
    contents: tuple[bytes, ...] = ()  # of the files in a result


class Visitor:
    """Sends inputs over HTTP and collects what comes back."""

    def __init__(self, address: str) -> None:
        # After an error the server closes the connection: none is used twice.
        self._http = httpx.Client(
            base_url=address,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=30),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def send(self, given: Input) -> Answer:
        """The answer to an input.

        Errors: httpx.HTTPError where there is none, ValueError where it is no JSON.
        """
        if given.address is None:
            return self._send_call(given)
        if given.method == "JOIN":
            return self._join(given.address, self._with_uploads(given))
        if given.method == "CALL":
            return self._call(given.address, given.body, given.endpoint)
        # As it stands: a client that means harm does not tidy addresses up.
        url = self._http.base_url.copy_with(raw_path=given.address.encode("utf-8", "replace"))
        if given.method == "SEND":
            answer = self._http.post(url, content=given.content, headers=given.headers)
            return Answer(answer.text, answer.status_code)
        if given.method == "GET":
            answer = self._http.get(url, headers=given.headers)
            return Answer(answer.text, answer.status_code, contents=(answer.content,))
        answer = self._http.post(url, content=_json(given.body), headers=JSON_HEADERS)
        if given.method == "TOOL" and answer.status_code == 200:
            return self._tool_answer(answer.text)
        return Answer(answer.text, answer.status_code)

    def _send_call(self, given: Input) -> Answer:
        files = []
        for upload in given.uploads:
            sent = self._upload(upload)
            if sent.status_code != 200:
                return Answer(sent.text, sent.status_code)
            files.append({"path": sent.json()[0], "orig_name": upload.name, "meta": META})
        arguments = {
            name: (files if value.upload is None else files[value.upload])
            if isinstance(value, Place)
            else value
            for name, value in given.arguments.items()
        }
        if given.number % 2:
            return self._call(f"/gradio_api/call/v2{given.endpoint}", arguments, given.endpoint)
        in_order = [arguments.get(name) for name in given.order]
        return self._call(f"/gradio_api/call{given.endpoint}", {"data": in_order}, given.endpoint)

    def _with_uploads(self, given: Input) -> dict[str, Any]:
        """The body of an event, with its uploads sent and in their places."""
        files = []
        for upload in given.uploads:
            sent = self._upload(upload)
            sent.raise_for_status()
            files.append({"path": sent.json()[0], "orig_name": upload.name, "meta": META})
        data = [files[one.upload or 0] if isinstance(one, Place) else one for one in given.body["data"]]
        return {**given.body, "data": data}

    def _upload(self, upload: Upload) -> httpx.Response:
        name = upload.name.encode("utf-8", "surrogateescape")
        if not upload.raw_name:  # as browsers do it
            name = name.replace(b"\r", b"%0D").replace(b"\n", b"%0A").replace(b'"', b"%22")
        boundary = b"boundaryboundaryboundary"
        body = b'--%b\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n' % (boundary, name)
        body += b"Content-Type: application/octet-stream\r\n\r\n%b\r\n--%b--\r\n" % (upload.content, boundary)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
        return self._http.post("/gradio_api/upload", content=body, headers=headers)

    def _call(self, address: str, body: Any, name: str) -> Answer:
        call = self._http.post(address, content=_json(body), headers=JSON_HEADERS)
        if call.status_code != 200:
            return Answer(call.text, call.status_code)
        kind = ""
        with self._http.stream("GET", f"/gradio_api/call{name}/{call.json()['event_id']}") as stream:
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    kind = line[6:].strip()
                elif line.startswith("data:") and kind in ("complete", "error"):
                    data = _strict_json(line[5:])
                    if kind == "error":
                        return Answer(line, error=data if isinstance(data, dict) else {"error": data})
                    return Answer(line, contents=self._contents(data))
        return Answer("", 0)

    def _join(self, query: str, body: Any) -> Answer:
        call = self._http.post(f"/gradio_api/queue/join{query}", content=_json(body), headers=JSON_HEADERS)
        if call.status_code != 200:
            return Answer(call.text, call.status_code)
        session = {"session_hash": body["session_hash"]}
        with self._http.stream("GET", "/gradio_api/queue/data", params=session) as stream:
            for line in stream.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {"msg": ""}
                if message["msg"] == "unexpected_error":
                    return Answer(line, error={"error": message["message"]})
                if message["msg"] == "process_completed":
                    if message["success"]:
                        return Answer(line, contents=self._contents(message["output"].get("data")))
                    return Answer(line, error=message["output"])
        return Answer("", 0)

    def _tool_answer(self, text: str) -> Answer:
        data = next(line[5:] for line in text.splitlines() if line.startswith("data:"))
        message = json.loads(data)
        if "error" in message:
            return Answer(data, 400)
        said = [part.get("text", "") for part in message["result"]["content"]]
        if message["result"].get("isError"):
            return Answer(data, error={"error": said[0] if said else None, "title": "Error"})
        paths = re.findall(r"/gradio_api/file=(\S+)", "\n".join(said))
        return Answer(
            data, contents=tuple(self._http.get(f"/gradio_api/file={path}").content for path in paths)
        )

    def _contents(self, data: Any) -> tuple[bytes, ...]:
        """The files that a result names."""
        contents = []
        for path in _paths_in(data):
            answer = self._http.get(f"/gradio_api/file={quote(path)}")
            answer.raise_for_status()
            contents.append(answer.content)
        return tuple(contents)


JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _strict_json(text: str) -> Any:
    """As browsers read it: NaN and Infinity are no JSON."""

    def refuse(word: str) -> None:
        raise ValueError(f"the answer holds {word}, which is no JSON")

    return json.loads(text, parse_constant=refuse)


def _paths_in(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if isinstance(data.get("meta"), dict) and isinstance(data.get("path"), str):
            yield data["path"]
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from _paths_in(value)


# --- Judging the answer -----------------------------------------------------------------------------------


class Evaluator:
    """Says of each answer whether it may be."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def verdict(self, given: Input, answer: Answer, logged: int) -> tuple[Verdict, str]:
        """One of `Verdict`, and the sentence or what is wrong; logged: bytes of the log before the input."""
        for content in (answer.text.encode("utf-8", "replace"), *answer.contents):
            if flaw := _flaw(content):
                return "failure", flaw
        if answer.status >= 500 or answer.status == 0:
            return "failure", f"HTTP {answer.status}: {_tidy(answer.text)}"
        if given.must_be_refused and answer.status < 400:
            return "failure", f"HTTP {answer.status} in the place of a refusal: {_tidy(answer.text)}"
        if answer.status != 200:
            return "gradio", f"HTTP {answer.status}: {_tidy(answer.text)}"
        if answer.error is not None:
            return self._error(given, answer.error, logged)
        if given.must_fail and not _tells_of_failures(given, answer.text):
            return "failure", "a result, though nothing was uploaded that could give one"
        return "result", ""

    def leaks(self) -> list[Path]:
        """The files among uploads and results with what stands in a file outside."""
        paths = [path for path in self._server.files.rglob("*") if path.is_file()]
        return [path for path in paths if any(word in path.read_bytes() for word in TELLTALES)]

    def _error(self, given: Input, error: Mapping[str, Any], logged: int) -> tuple[Verdict, str]:
        text = str(error.get("error") or "")
        traces = [trace for trace in self._server.tracebacks(logged) if text and _ends_in(trace, text)]
        ours = [trace for trace in traces if f'File "{ROOT}/aural/' in trace]
        if given.method == "JOIN":  # the page's own events owe nobody else a sentence
            return "gradio", _tidy(text)
        if ours or not text:
            return "failure", f"masked: {_tidy(text)} ({_place(ours[-1]) if ours else 'no message'})"
        if traces or "title" not in error or text.startswith(REFUSALS_OF_TOOLS):
            return "gradio", _tidy(text)
        if len(text) > LONGEST_SENTENCE:
            return "failure", f"a message of {len(text)} characters: {_tidy(text)}"
        files = str(self._server.files)
        tells_where = files in text and files not in f"{given.arguments}{given.body}"
        if not text.endswith(".") or "Traceback" in text or tells_where:
            return "failure", f"no sentence of ours: {_tidy(text)}"
        return "ours", _tidy(text)


# How the MCP server refuses arguments that do not fit a tool's schema, or that the tool does not know.
REFUSALS_OF_TOOLS = ("Input validation error", "Parameter `", "No value provided")


def _flaw(content: bytes) -> str:
    """What is wrong with an answer or with a file in it."""
    for word in TELLTALES:
        if word in content:
            return f"the answer holds what stands in a file outside: {word!r}"
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":  # WebP pictures are RIFF files too
        samples, _ = soundfile.read(io.BytesIO(content))
        if not np.isfinite(samples).all():
            return "the sound in the answer holds a NaN"
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                if name.startswith(("/", ".")) or ".." in Path(name).parts or "\\" in name:
                    return f"the zip in the answer holds a file named {name!r}"
    return ""


def _tells_of_failures(given: Input, text: str) -> bool:
    """Whether a batch's answer says of each file, but the good ones beside it, why it could not be done."""
    errors = re.findall(r'\\*"error\\*": (?:null|\\*"(.))', text)
    done = sum(first in ("", "\\", '"') for first in errors)
    return bool(errors) and done <= sum(upload.name == GOOD_NAME for upload in given.uploads)


def _ends_in(trace: str, text: str) -> bool:
    """Whether a traceback ends in this message, which Gradio's own errors print with quotes."""
    return text in trace or repr(text)[1:-1] in trace


def _place(trace: str) -> str:
    """The line of ours that is deepest in a traceback."""
    return ":".join(
        re.findall(rf'File "{re.escape(str(ROOT))}/(aural/[^"]+)", line (\d+), in (\w+)', trace)[-1]
    )


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 300 else f"{text[:280]}... ({len(text)} characters)"


# --- The report -------------------------------------------------------------------------------------------


def _keep(outcome: Outcome, folder: Path) -> None:
    """Write what failed: the input as text, and its files."""
    given = outcome.input
    folder.mkdir(parents=True, exist_ok=True)
    for index, upload in enumerate(given.uploads):
        suffix = Path(upload.name).suffix
        suffix = suffix if re.fullmatch(r"\.\w{1,5}", suffix, re.ASCII) else ""
        (folder / f"{given.number}-{index}{suffix}").write_bytes(upload.content)
    told = [f"{name}: {getattr(given, name)!a}" for name in ("endpoint", "kind", "what", "arguments", "body")]
    told += [f"names: {[ascii(upload.name) for upload in given.uploads]}", f"detail: {outcome.detail!a}"]
    (folder / f"{given.number}.txt").write_text("\n".join(told))


def table(report: Report) -> str:
    """By endpoint and kind: inputs, results, sentences of ours, refusals of Gradio's, failures, seconds."""
    rows: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in report.outcomes:
        given = outcome.input
        for row in (
            (given.endpoint, given.kind),
            (given.endpoint, "all"),
            ("all", given.kind),
            ("all", "all"),
        ):
            rows[row].append(outcome)
    verdicts = ("result", "ours", "gradio", "failure")
    lines = [
        f"{'endpoint':18} {'kind':16} {'inputs':>7}"
        + "".join(f"{v:>8}" for v in verdicts)
        + f"{'median s':>10}"
    ]
    for (endpoint, kind), outcomes in sorted(rows.items()):
        counts = Counter(outcome.verdict for outcome in outcomes)
        figures = "".join(f"{counts[verdict]:8}" for verdict in verdicts)
        median = statistics.median(outcome.seconds for outcome in outcomes)
        lines.append(f"{endpoint:18} {kind:16} {len(outcomes):7}{figures}{median:10.2f}")
    return "\n".join(lines)


def main() -> None:
    """Fuzz, print the table and every failure; exit 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=2_000, help="how many are sent")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=0, help="what they are drawn from")
    parser.add_argument("--keep", type=Path, default=ROOT / "runs/fuzz", help="folder for what failed")
    parser.add_argument("--sentences", action="store_true", help="print every sentence too, with its count")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    numbers = range(arguments.first, arguments.first + arguments.inputs)
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        report = run(Path(folder), numbers, arguments.seed, arguments.keep)
    print(table(report))
    if arguments.sentences:
        said = Counter((one.verdict, one.detail) for one in report.outcomes if one.detail)
        for (verdict, sentence), count in sorted(said.items()):
            print(f"{count:5} {verdict:7} {sentence}")
    count, (files, size) = len(report.outcomes), report.stored
    print(
        f"{count} inputs in {report.seconds:.0f} s ({count / report.seconds:.1f} a second); "
        f"memory {report.idle_bytes / 2**20:.0f} MiB at first, {report.peak_bytes / 2**20:.0f} MiB at most; "
        f"{files} files of {size / 2**20:.0f} MiB stored"
    )
    for line in report.failures:
        print(f"FAILED --seed {arguments.seed} --first {line}")
    sys.exit(1 if report.failures or count < arguments.inputs else 0)


if __name__ == "__main__":
    main()
