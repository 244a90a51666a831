"""The A/B player: what Python hands over, and what a browser plays."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import gradio as gr
import numpy as np
import pytest
import soundfile
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Locator, Page, expect

from aural.audio import Clip, write
from aural.ui import players, theme
from aural.ui.players import ABPlayer, Version, audio_input, matched_gains_db, playable

RATE = 48_000
SECONDS = 6
TONE_HZ = 997

# Listens in on everything that reaches the loudspeakers, on the audio thread, where nothing is dropped.
# Where it is added to a page again, once is enough.
LISTEN = """
if (!window.heard) {
  window.heard = [];
  const code = `registerProcessor("tap", class extends AudioWorkletProcessor {
    process(inputs) { if (inputs[0][0]) this.port.postMessage(inputs[0][0].slice()); return true; }
  })`;
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const context = this.context;
      context.tap ??= context.audioWorklet
        .addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))
        .then(() => {
          const tap = new AudioWorkletNode(context, "tap");
          tap.port.onmessage = (event) => window.heard.push(...event.data);
          return tap;
        });
      context.tap.then((tap) => connect.call(this, tap));
    }
    return connect.call(this, target, ...rest);
  };
}
"""


def tone(path: Path, level: float, seconds: float = SECONDS, channels: int = 2) -> Path:
    times = np.arange(round(seconds * RATE)) / RATE
    samples = np.repeat(level * np.sin(2 * np.pi * TONE_HZ * times)[:, np.newaxis], channels, axis=1)
    soundfile.write(path, samples, RATE, subtype="PCM_24")
    return path


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Version]:
    """The same tone twice, 20 dB apart; a third version of unknown loudness."""
    folder = tmp_path_factory.mktemp("versions")
    return [
        Version("Original", tone(folder / "original.wav", 0.5), -9.0),
        Version("<b>Quiet</b> & “quoted”", tone(folder / "quiet #1.wav", 0.05), -29.0),
        Version("Unmeasured", tone(folder / "unmeasured.flac", 0.05, channels=1), None),
    ]


@pytest.fixture(scope="module")
def build(versions: list[Version], tmp_path_factory: pytest.TempPathFactory) -> Callable[[], gr.Blocks]:
    short = Version("Short", tone(tmp_path_factory.mktemp("short") / "short.wav", 0.5, seconds=2))

    def blocks() -> gr.Blocks:
        with gr.Blocks() as demo:
            with gr.Tab("First"):
                first = ABPlayer(label="First player", elem_id="first")
                gr.Button("Two").click(lambda: versions[:2], None, first)
                gr.Button("Short").click(lambda: [short], None, first)
                gr.Button("Three").click(lambda: versions, None, first)
                gr.Button("None").click(lambda: None, None, first)
                gr.Button("Rename").click(lambda: gr.update(label="Renamed", value=versions[:2]), None, first)
            with gr.Tab("Second"):
                ABPlayer(versions[:2], label="Second player", elem_id="second")
        return demo

    return blocks


@pytest.fixture(scope="module")
def address(build: Callable[[], gr.Blocks]) -> Iterator[str]:
    demo = build()
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, theme=theme.Studio(), css=theme.CSS, head=players.HEAD
    )
    yield url
    demo.close()


def open_player(page: Page, url: str, versions: str = "Two") -> Locator:
    page.add_init_script(LISTEN)
    page.goto(url)
    page.get_by_role("button", name=versions, exact=True).click()
    player = page.locator("#first .ab")
    page.locator("#first .ab[data-state=ready]").wait_for()
    return player


def state(player: Locator) -> dict[str, str]:
    return dict(player.evaluate("node => ({ ...node.dataset })"))


def heard(page: Page) -> np.ndarray:
    return np.array(page.evaluate("window.heard.splice(0)"))


def wait_for_level(page: Page, level: float) -> None:
    """Until the latest tenth of a second peaks within 1 % of the level; fails if that never happens."""
    peak = f"Math.max(...window.heard.slice(-{RATE // 10}).map(Math.abs))"
    page.wait_for_function(f"window.heard.length && Math.abs({peak} / {level} - 1) < 0.01")


def wait_for_position(page: Page, seconds: float) -> None:
    """Until the first player has passed a time; fails if it is a second or more beyond it."""
    position = "+document.querySelector('#first .ab').dataset.position"
    # The position when it has passed, not some time later: the browser looks at every frame.
    passed = page.wait_for_function(f"{position} > {seconds} && {position}")
    assert passed.json_value() < seconds + 1


def test_louder_versions_are_turned_down_to_the_quietest() -> None:
    assert matched_gains_db([-9.0, -29.0]) == [-20.0, 0.0]
    assert matched_gains_db([-14.0, -16.5, -20.0]) == [-6.0, -3.5, 0.0]


def test_silence_and_unknown_loudness_are_no_measure_for_the_others() -> None:
    assert matched_gains_db([-14.0, -math.inf, math.nan, None]) == [0.0, 0.0, 0.0, 0.0]
    assert matched_gains_db([]) == []


def test_one_channel_played_on_two_loudspeakers_is_matched_as_it_is_heard(tmp_path: Path) -> None:
    stereo = Version("Stereo", tone(tmp_path / "stereo.wav", 0.5), -9.0)
    mono = Version("Mono", tone(tmp_path / "mono.wav", 0.5, channels=1), -12.01)  # the same, measured on one
    gains_db = [version.matched_gain_db for version in ABPlayer().postprocess([stereo, mono]).root]
    assert gains_db == pytest.approx([0, 0], abs=0.01)
    both_mono = ABPlayer().postprocess([mono, Version("Louder", mono.path, -6.01)]).root
    assert [version.matched_gain_db for version in both_mono] == pytest.approx([0, -6])


def columns(text: str) -> list[int]:
    """An outline's columns as the browser reads them."""
    return [int(column) for column in text.split()]


def test_the_outline_of_a_sine_is_its_amplitude_and_its_root_mean_square(tmp_path: Path) -> None:
    path = tone(tmp_path / "sine.wav", 0.5)
    (version,) = ABPlayer().postprocess([Version("Sine", path, -math.inf)]).root
    peaks, levels = columns(version.peaks), columns(version.levels)
    assert len(peaks) == len(levels) == players.WAVEFORM_COLUMNS
    assert set(peaks) == {round(0.5 * players.WAVEFORM_STEPS)}
    assert set(levels) == {round(0.5 / math.sqrt(2) * players.WAVEFORM_STEPS)}
    assert (version.rate, version.channels, version.seconds) == (RATE, 2, SECONDS)
    assert version.loudness_lufs is None  # JSON has no infinity


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_one_sample_of_any_number_of_channels_has_an_outline(tmp_path: Path, channels: int) -> None:
    soundfile.write(tmp_path / "one.wav", np.full((1, channels), 0.25), RATE, subtype="PCM_24")
    (version,) = ABPlayer().postprocess([Version("One", tmp_path / "one.wav")]).root
    assert columns(version.peaks) == columns(version.levels) == [50]
    assert version.channels == channels


def test_what_only_ffmpeg_reads_has_an_outline_too(tmp_path: Path) -> None:
    path = tmp_path / "memo.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, RATE), 0.25, np.float32), "fltp", "mono")
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    (version,) = ABPlayer().postprocess([Version("Memo", path)]).root
    assert (version.rate, version.channels) == (RATE, 1)
    assert version.seconds == pytest.approx(1, abs=0.05)
    assert np.median(columns(version.levels)) == pytest.approx(50, abs=2)


def test_the_player_is_left_out_of_the_endpoints_results() -> None:
    with gr.Blocks() as demo:
        player, text = ABPlayer(), gr.Textbox()
        gr.Button().click(lambda: (None, ""), None, [player, text], api_name="compare")
    returns = demo.get_api_info()["named_endpoints"]["/compare"]["returns"]
    assert [result["component"] for result in returns] == ["Textbox"]


def test_importing_the_player_writes_no_file_beside_it() -> None:
    assert not Path(players.__file__).with_suffix(".pyi").exists()


def test_the_upload_field_hands_over_the_file_as_it_is() -> None:
    field = audio_input("Your audio")
    assert (field.type, field.format, field.editable) == ("filepath", None, False)


@pytest.mark.browser
def test_switching_at_matched_loudness_is_inaudible_between_copies_of_one_tone(
    page: Page, address: str
) -> None:
    player = open_player(page, address)
    player.locator(".ab-play").click()
    page.wait_for_function("window.heard.length > 20000")
    for key in "BABAB":
        page.keyboard.press(key)
        page.wait_for_timeout(100)
    page.wait_for_function("window.heard.length > 70000")
    assert_one_sine(heard(page))


def assert_one_sine(sound: np.ndarray) -> None:
    """One unbroken sine explains all that was heard: no gap, no dip, no jump in time, no change of level."""
    sound = sound[np.argmax(np.abs(sound) > 0.04) + RATE // 10 :]
    phases = 2 * np.pi * TONE_HZ / RATE * np.arange(len(sound))
    basis = np.stack([np.sin(phases), np.cos(phases)], axis=1)
    weights = np.linalg.lstsq(basis, sound, rcond=None)[0]
    assert np.hypot(*weights) == pytest.approx(0.05, rel=1e-3)
    assert np.abs(sound - basis @ weights).max() < 0.05 * 0.01


@pytest.mark.browser
def test_versions_start_on_one_sample_where_the_page_is_held_up(fresh_page: Page, address: str) -> None:
    page = fresh_page
    page.add_init_script("""
      const start = AudioBufferSourceNode.prototype.start;
      let left = 4;
      AudioBufferSourceNode.prototype.start = function (...when) {
        const end = performance.now() + (left-- > 0 ? 60 : 0);
        while (performance.now() < end);
        return start.apply(this, when);
      };
    """)
    player = open_player(page, address)
    player.locator(".ab-play").click()
    page.wait_for_function("window.heard.length > 20000")
    page.keyboard.press("b")
    page.wait_for_function("window.heard.length > 40000")
    assert_one_sine(heard(page))


@pytest.mark.browser
def test_without_matching_each_version_plays_at_its_own_level(page: Page, address: str) -> None:
    player = open_player(page, address)
    assert state(player)["gains"] == "-20.00 0.00"
    player.locator(".ab-play").click()
    wait_for_level(page, 0.05)
    player.get_by_role("button", name="Matched loudness").click()
    wait_for_level(page, 0.5)
    assert state(player)["gains"] == "0.00 0.00"
    page.keyboard.press("b")
    wait_for_level(page, 0.05)


@pytest.mark.browser
def test_keys_play_seek_switch_and_loop(page: Page, address: str) -> None:
    player = open_player(page, address, "Three")
    player.focus()
    page.keyboard.press("2")
    assert state(player)["active"] == "1"
    page.keyboard.press("c")
    assert state(player)["active"] == "2"
    page.keyboard.press("d")  # there is no fourth version
    assert state(player)["active"] == "2"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert float(state(player)["position"]) == 2.0
    page.keyboard.press("Space")
    assert state(player)["state"] == "playing"
    wait_for_position(page, 2.2)
    page.keyboard.press("Space")
    paused = state(player)
    assert paused["state"] == "ready"
    page.wait_for_timeout(200)
    assert state(player) == paused
    page.keyboard.press("m")
    assert state(player)["matched"] == "false"


@pytest.mark.browser
def test_playback_ends_at_the_end_and_a_loop_goes_round(page: Page, address: str) -> None:
    player = open_player(page, address)
    player.locator(".ab-seek").fill(str(SECONDS - 0.3))
    assert float(state(player)["position"]) == SECONDS - 0.3
    player.locator(".ab-play").click()
    page.locator("#first .ab[data-state=ready]").wait_for()
    assert float(state(player)["position"]) == 0.0
    player.get_by_role("button", name="Loop").click()
    player.locator(".ab-seek").fill(str(SECONDS - 0.3))
    player.locator(".ab-play").click()
    page.wait_for_function("+document.querySelector('#first .ab').dataset.position < 3")
    assert state(player)["state"] == "playing"


@pytest.mark.browser
def test_the_value_may_change_and_go(page: Page, address: str) -> None:
    player = open_player(page, address, "Three")
    assert player.get_by_role("button", name="Unmeasured").get_attribute("aria-pressed") == "false"
    assert player.locator(".ab-name").all_inner_texts() == [
        "Original",
        "<b>Quiet</b> & “quoted”",
        "Unmeasured",
    ]
    assert state(player)["gains"] == "-20.00 0.00 0.00"
    player.locator(".ab-play").click()
    page.get_by_role("button", name="None", exact=True).click()
    page.locator("#first .ab[data-state=empty]").wait_for()
    assert player.get_by_text("Nothing to compare yet.").is_visible()
    assert not player.locator(".ab-play").is_visible()
    page.get_by_role("button", name="Two", exact=True).click()
    page.locator("#first .ab[data-state=ready]").wait_for()
    assert player.locator(".ab-version").count() == player.locator(".ab-lane").count() == 2
    page.get_by_role("button", name="Rename", exact=True).click()
    page.get_by_role("group", name="Renamed").wait_for()
    page.locator("#first .ab[data-state=ready]").wait_for()


@pytest.mark.browser
def test_a_region_stays_when_the_same_sound_comes_again(page: Page, address: str) -> None:
    player = open_player(page, address)
    player.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("[")
    assert state(player)["region"] == f"1.000 {SECONDS}.000"
    page.get_by_role("button", name="Three", exact=True).click()
    expect(player.locator(".ab-version")).to_have_count(3)
    page.locator("#first .ab[data-state=ready]").wait_for()
    assert state(player)["region"] == f"1.000 {SECONDS}.000"
    assert state(player)["position"] == "1.000"
    page.get_by_role("button", name="Short", exact=True).click()
    expect(player.locator(".ab-version")).to_have_count(1)
    page.locator("#first .ab[data-state=ready]").wait_for()
    assert state(player)["region"] == ""
    assert player.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "false"


@pytest.mark.browser
def test_one_player_sounds_at_a_time_and_only_in_the_open_tab(page: Page, address: str) -> None:
    first = open_player(page, address)
    first.locator(".ab-play").click()
    page.get_by_role("tab", name="Second").click()
    page.locator("#second .ab[data-state=ready]").wait_for()
    page.locator("#first .ab[data-state=ready]").wait_for(state="attached")
    second = page.locator("#second .ab")
    second.locator(".ab-play").click()
    wait_for_level(page, 0.05)
    assert state(second)["state"] == "playing"


@pytest.mark.browser
def test_a_version_that_is_gone_from_the_server_is_named(
    chromium, address: str
) -> None:  # not `page`: the failed request is logged as an error, as it should be
    page = chromium.new_page()
    page.route("**/*quiet*", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.get_by_role("button", name="Two", exact=True).click()
    page.locator("#first .ab[data-state=error]").wait_for()
    assert "Quiet" in page.locator("#first .ab-note").inner_text()
    assert page.locator("#first .ab-play").is_disabled()
    page.close()


@pytest.mark.browser
def test_long_versions_stream_in_step_from_under_a_path_of_a_larger_site(
    page: Page, build: Callable[[], gr.Blocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(players, "DECODED_LIMIT_BYTES", 0)
    site = gr.mount_gradio_app(FastAPI(), build(), path="/studio", head=players.HEAD)
    server = uvicorn.Server(uvicorn.Config(site, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        player = open_player(page, f"http://127.0.0.1:{port}/studio/")
        assert state(player)["engine"] == "stream"
        player.locator(".ab-play").click()
        wait_for_position(page, 0.3)
        wait_for_level(page, 0.05)
        before = float(state(player)["position"])
        page.keyboard.press("b")
        wait_for_position(page, before + 0.2)
        wait_for_level(page, 0.05)
        player.locator(".ab-seek").fill("4")
        wait_for_position(page, 4.1)
    finally:
        server.should_exit = True
        thread.join()


def test_a_wav_is_played_as_it_is_and_what_only_bears_the_name_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "results"))
    clip = Clip(np.zeros((1, RATE), np.float32), RATE)
    real, other = tmp_path / "real.wav", tmp_path / "other.mp3"
    write(clip, real)
    write(clip, other)
    misnamed = other.rename(tmp_path / "misnamed.wav")
    assert playable(str(real)) == str(real)
    assert soundfile.info(playable(str(misnamed))).format == "WAV"
