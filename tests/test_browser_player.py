"""The A/B player's loop region and its blind test (ABX), as a listener with ears and keys meets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Locator, Page, expect
from scipy.stats import binomtest

from aural.ui import players, theme
from aural.ui.players import ABPlayer, Version
from tests.ui.test_players import LISTEN, heard, state

pytestmark = pytest.mark.browser

RATE = 48_000
SECONDS = 4
REGION = (1.0, 1.5)
AMPLITUDE = 0.05  # of both versions, matched
TONES_HZ = {"A": 1000, "B": 1500}  # whole periods fill the region
ELSEWHERE_HZ = 3000
SWITCH_SAMPLES = RATE * 12 // 100  # a switch is over by then

# X is always A: its draw comes from this generator alone.
ALWAYS_A = "crypto.getRandomValues = (array) => array.fill(0);"


def tone(path: Path, inside_hz: float, level: float) -> Path:
    """A tone in the region, another one before and after it."""
    times = np.arange(SECONDS * RATE) / RATE
    inside = (times >= REGION[0]) & (times < REGION[1])
    samples = level * np.sin(2 * np.pi * np.where(inside, inside_hz, ELSEWHERE_HZ) * times)
    soundfile.write(path, np.stack([samples, samples], axis=1), RATE, subtype="PCM_24")
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("versions")
    first = Version("Original", tone(folder / "a.wav", TONES_HZ["A"], 10 * AMPLITUDE), -9.0)
    second = Version("Master", tone(folder / "b.wav", TONES_HZ["B"], AMPLITUDE), -29.0)
    soundfile.write(folder / "d.wav", np.full((RATE, 6), AMPLITUDE), RATE, subtype="PCM_24")
    surround = Version("Surround", folder / "d.wav", -20.0)
    unmeasured = Version("Background", tone(folder / "c.wav", 500, AMPLITUDE))
    with pytest.MonkeyPatch.context() as patch, gr.Blocks() as demo:
        with gr.Tab("Pair"):
            ABPlayer([first, second], label="Pair", elem_id="pair")
        with gr.Tab("Many"):
            ABPlayer([first, unmeasured, second, surround], elem_id="many")
        with gr.Tab("Lonely"):
            ABPlayer([first, unmeasured], elem_id="lonely")
        patch.setattr(players, "DECODED_LIMIT_BYTES", 0)
        with gr.Tab("Stream"):
            ABPlayer([first, second], elem_id="stream")
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, theme=theme.Studio(), css=theme.CSS, head=players.HEAD
    )
    yield url
    demo.close()


def open_player(page: Page, address: str, name: str = "pair", scripts: str = "") -> Locator:
    page.add_init_script(LISTEN + scripts)
    page.goto(address)
    if name != "pair":
        page.get_by_role("tab", name=name.capitalize()).click()
    page.locator(f"#{name} .ab[data-state=ready]").wait_for()
    player = page.locator(f"#{name} .ab")
    player.focus()
    return player


def set_region(page: Page, player: Locator) -> None:
    """From 1 to 1.5 s: by the brackets at the playhead, then by the keys of the handle."""
    page.keyboard.press("ArrowRight")
    page.keyboard.press("[")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    assert state(player)["region"] == "1.000 2.000"
    player.get_by_role("slider", name="Region end").focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert state(player)["region"] == "1.000 1.500"
    player.focus()


def watch_positions(player: Locator, rounds: int) -> list[float]:
    """The positions that the player shows until it has gone back so many times."""
    return player.evaluate(
        """(node, rounds) => new Promise((done, fail) => {
          const seen = [];
          setTimeout(() => fail(new Error(`only ${seen.at(-1)} was reached`)), 30000);
          const look = () => {
            seen.push(+node.dataset.position);
            if (seen.filter((at, index) => at < seen[index - 1]).length < rounds) requestAnimationFrame(look);
            else done(seen);
          };
          look();
        })""",
        rounds,
    )


def listen(page: Page, samples: int = RATE // 20) -> np.ndarray:
    """What sounds once the last switch is over: 120 ms later by the sound's own clock, which may lag."""
    page.evaluate("window.heard.length = 0")
    page.wait_for_function(f"window.heard.length >= {SWITCH_SAMPLES + samples}")
    return heard(page)[SWITCH_SAMPLES:]


def amplitude(sound: np.ndarray, tone_hz: float) -> float:
    """Of the one sine that explains the sound best."""
    return float(np.hypot(*_fitted(sound, tone_hz)[0]))


def error(sound: np.ndarray, tone_hz: float) -> float:
    """The largest part of the sound, of `AMPLITUDE`, that one unbroken sine leaves unexplained."""
    return float(np.abs(_fitted(sound, tone_hz)[1]).max() / AMPLITUDE)


def _fitted(sound: np.ndarray, tone_hz: float) -> tuple[np.ndarray, np.ndarray]:
    phases = 2 * np.pi * tone_hz / RATE * np.arange(len(sound))
    basis = np.stack([np.sin(phases), np.cos(phases)], axis=1)
    weights = np.linalg.lstsq(basis, sound, rcond=None)[0]
    return weights, sound - basis @ weights


def recognise(sound: np.ndarray) -> str:
    """Which version sounds; fails unless it is exactly one, at the matched level."""
    found = {name: amplitude(sound, tone_hz) for name, tone_hz in TONES_HZ.items()}
    name = max(found, key=found.__getitem__)
    assert found[name] == pytest.approx(AMPLITUDE, rel=1e-3)
    assert error(sound, TONES_HZ[name]) < 0.01
    return name


def start_test(player: Locator, trials: int = 10) -> None:
    player.get_by_role("button", name="ABX test").click()
    player.get_by_text(str(trials), exact=True).click()
    player.get_by_role("button", name="Start", exact=True).click()
    expect(player.get_by_text(f"Trial 1 of {trials}").first).to_be_visible()


def verdict(player: Locator) -> str:
    return player.locator(".ab-verdict").inner_text()


def test_a_region_goes_round_without_a_gap_for_every_version(page: Page, address: str) -> None:
    player = open_player(page, address)
    set_region(page, player)
    assert player.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    for name, tone_hz in TONES_HZ.items():
        page.keyboard.press(name)
        positions = watch_positions(player, rounds=2)
        assert REGION[0] <= min(positions) <= max(positions) <= REGION[1]
        sound = listen(page, RATE)  # two rounds
        assert amplitude(sound, tone_hz) == pytest.approx(AMPLITUDE, rel=1e-3)
        assert error(sound, tone_hz) < 0.01
    # Switched off in passing, it plays on, past the region's end.
    page.keyboard.press("l")
    page.wait_for_function(f"+document.querySelector('#pair .ab').dataset.position > {REGION[1]}")
    assert amplitude(listen(page), ELSEWHERE_HZ) == pytest.approx(AMPLITUDE, rel=1e-3)
    # Started behind the region, it plays to the sound's end and goes on in the region.
    page.keyboard.press("l")
    player.locator(".ab-seek").fill(str(SECONDS - 0.2))
    assert REGION[0] <= watch_positions(player, rounds=1)[-1] <= REGION[1]


def test_a_region_is_drawn_by_mouse_moved_by_its_handles_and_removed(page: Page, address: str) -> None:
    player = open_player(page, address)
    box = player.locator(".ab-lanes").bounding_box()
    assert box is not None

    def drag(start: float, end: float, keys: str = "") -> None:
        if keys:
            page.keyboard.down(keys)
        page.mouse.move(box["x"] + box["width"] * start, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * end, box["y"] + 40, steps=3)
        page.mouse.up()
        if keys:
            page.keyboard.up(keys)

    def region() -> list[float]:
        return [float(side) for side in state(player)["region"].split()]

    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 40)  # a plain click seeks
    assert float(state(player)["position"]) == pytest.approx(3, abs=0.02)
    drag(0.8, 0.25, "Shift")
    assert region() == pytest.approx([1, 3.2], abs=0.02)
    assert float(state(player)["position"]) == pytest.approx(3, abs=0.02)  # inside the region: it stays
    page.mouse.click(box["x"] + box["width"] * 0.1, box["y"] + 40)
    assert float(state(player)["position"]) == pytest.approx(0.4, abs=0.02)
    assert region() == pytest.approx([1, 3.2], abs=0.02)
    drag(0.25, 0.5)
    assert region() == pytest.approx([2, 3.2], abs=0.02)
    assert state(player)["position"] == state(player)["region"].split()[0]  # it was outside
    drag(0.5, 1)  # no handle passes the other
    assert region() == pytest.approx([3.15, 3.2], abs=0.02)
    start = player.get_by_role("slider", name="Region start")
    start.press("Home")
    start.press("PageUp")
    start.press("ArrowLeft")
    assert region()[0] == pytest.approx(0.9)
    assert start.get_attribute("aria-valuetext") == "0:00.9"
    page.keyboard.press("Escape")
    assert state(player)["region"] == ""
    assert not start.is_visible()
    assert player.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "false"  # as it was


def test_a_region_is_set_by_touch_on_a_phone_and_nothing_overflows(fresh_page: Page, address: str) -> None:
    page = fresh_page
    page.set_viewport_size({"width": 390, "height": 844})
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    player = open_player(page, address)
    player.get_by_role("button", name="Start region here").click()
    box = player.get_by_role("slider", name="Region end").bounding_box()
    lanes = player.locator(".ab-lanes").bounding_box()
    assert box is not None
    assert lanes is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, shift in (("touchStart", 0.0), ("touchMove", -0.2), ("touchMove", -0.5)):
        points = [{"x": x + shift * lanes["width"], "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("document.querySelector('#pair .ab').dataset.region.startsWith('0.000 2.0')")
    width = "document.documentElement.scrollWidth"
    player.get_by_role("button", name="ABX test").click()
    assert page.evaluate(width) == 390
    player.get_by_role("button", name="Start", exact=True).click()
    assert page.evaluate(width) == 390
    player.get_by_role("button", name="Remove region").click()
    assert state(player)["region"] == ""


def test_streams_go_back_at_the_regions_end_and_are_refused_the_blind_test(page: Page, address: str) -> None:
    player = open_player(page, address, "stream")
    assert state(player)["engine"] == "stream"
    set_region(page, player)
    page.keyboard.press("Space")
    positions = watch_positions(player, rounds=3)
    assert REGION[0] <= min(positions) <= max(positions) <= REGION[1]
    page.keyboard.press("Escape")
    page.keyboard.press("l")  # now all of it goes round
    player.locator(".ab-seek").fill(str(SECONDS - 0.3))
    assert watch_positions(player, rounds=1)[-1] < 1
    page.wait_for_function("+document.querySelector('#stream .ab').dataset.position > 1")
    assert state(player)["state"] == "playing"
    player.get_by_role("button", name="ABX test").click()
    expect(player.locator(".ab-test")).to_contain_text("Test a shorter piece")
    assert not player.get_by_role("button", name="Start", exact=True).is_visible()


def test_who_hears_x_is_right_every_time(page: Page, address: str) -> None:
    player = open_player(page, address)
    set_region(page, player)
    page.keyboard.press("m")  # the test matches all the same
    start_test(player, trials=8)
    for trial in range(8):
        assert player.get_by_text(f"Trial {trial + 1} of 8").first.is_visible()
        page.keyboard.press("x")
        answer = recognise(listen(page))
        if trial == 0:
            # X and its source are one sound: going to and fro leaves one unbroken sine.
            page.evaluate("window.heard.length = 0")
            for key in (answer, "x", answer, "x"):
                page.keyboard.press(key)
                page.wait_for_timeout(60)
            assert error(heard(page), TONES_HZ[answer]) < 0.01
        assert "right" not in player.inner_text()
        page.keyboard.press({"A": "1", "B": "2"}[answer])
    assert verdict(player) == "8 of 8 right: p = 0.004. You hear a difference (below 0.05)."
    assert float(state(player)["p"]) == 2**-8
    assert player.locator(".ab-spoken").last.inner_text() == verdict(player)
    assert state(player)["matched"] == "false"  # as it was before the test
    assert state(player)["state"] == "ready"


def test_nothing_on_the_page_tells_x_and_saying_always_a_is_chance(page: Page, address: str) -> None:
    player = open_player(page, address)
    start_test(player, trials=20)
    pages = []
    for _ in range(20):
        page.keyboard.press("x")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowLeft")
        pages.append(player.evaluate("node => node.outerHTML"))
        page.keyboard.press("1")
    told = [re.sub(r"Trial \d+|<ol.*?</ol>", "", text) for text in pages]
    answer = [mark[0] for mark in player.locator(".ab-marks li").all_inner_texts()]
    assert len(answer) == 20
    assert set(answer) == {"A", "B"}
    assert "Trial" in pages[0]
    assert set(told) == {told[0]}
    right = answer.count("A")
    p = binomtest(right, 20, alternative="greater").pvalue
    assert float(state(player)["p"]) == pytest.approx(p, rel=1e-12)
    assert verdict(player).startswith(f"{right} of 20 right: p = {p:.3f}. ")


def test_the_verdict_follows_from_the_number_of_right_answers(fresh_page: Page, address: str) -> None:
    page = fresh_page
    player = open_player(page, address, scripts=ALWAYS_A)
    start_test(player, trials=16)
    page.keyboard.press("1")
    expect(player.get_by_text("Listen to X first.")).to_be_visible()
    page.keyboard.press("x")
    page.keyboard.press("1")
    player.get_by_role("button", name="End early").click()
    assert verdict(player) == (
        "Ended early: 1 of 16 trials count. 1 of 1 right: p = 0.500. "
        "No difference shown. More trials may help."
    )
    for right, ending in (
        (9, "p = 0.011. You hear a difference (below 0.05)."),
        (6, "p = 0.377. No difference shown. More trials may help."),
    ):
        player.get_by_role("button", name="Close test").click()
        start_test(player, trials=10)
        for trial in range(10):
            page.keyboard.press("x")
            page.keyboard.press("1" if trial < right else "2")
        assert verdict(player) == f"{right} of 10 right: {ending}"
        expected = binomtest(right, 10, alternative="greater").pvalue
        assert float(state(player)["p"]) == pytest.approx(expected, rel=1e-12)


def test_the_pair_is_chosen_among_versions_of_known_loudness(page: Page, address: str) -> None:
    player = open_player(page, address, "many")
    player.get_by_role("button", name="ABX test").click()
    first, second = player.get_by_label("Version to hear as A"), player.get_by_label("Version to hear as B")
    assert second.locator("option:disabled").all_inner_texts() == ["Background (loudness unknown)"]
    assert second.locator("option:checked").inner_text() == "Master"
    second.select_option("Original")  # the two change places
    assert first.locator("option:checked").inner_text() == "Master"
    first.select_option("Surround")
    expect(player.locator(".ab-test")).to_contain_text("the same number of channels")
    assert not player.get_by_role("button", name="Start", exact=True).is_visible()
    first.select_option("Master")
    player.get_by_role("button", name="Start", exact=True).click()
    names = player.get_by_role("group", name="Listen to").locator(".ab-name")
    assert names.all_inner_texts() == ["Master", "Original", "A or B"]
    assert not player.locator(".ab-lane svg").first.is_visible()
    assert not player.get_by_text("dB").first.is_visible()
    page.get_by_role("tab", name="Lonely").click()
    lonely = page.locator("#lonely .ab")
    page.locator("#lonely .ab[data-state=ready]").wait_for()
    lonely.get_by_role("button", name="ABX test").click()
    expect(lonely.locator(".ab-test")).to_contain_text("two versions of known loudness")
    assert not lonely.get_by_role("button", name="Start", exact=True).is_visible()


def test_every_control_is_reached_by_tab_seen_in_focus_and_named(page: Page, address: str) -> None:
    player = open_player(page, address)
    set_region(page, player)

    def tab() -> str | None:
        """The name of what the Tab key reaches next; None outside the player."""
        page.keyboard.press("Tab")
        found = page.evaluate("""() => {
          const node = document.activeElement;
          if (!node.closest("#pair .ab")) return null;
          const seen = node.matches(".ab-count input") ? node.nextElementSibling : node;
          const name = node.getAttribute("aria-label") ?? node.labels?.[0]?.innerText ?? node.innerText;
          return [name, getComputedStyle(seen).outlineStyle];
        }""")
        if found is None:
            return None
        name, outline = found
        assert outline == "solid", f"{name}: no visible focus"
        return " ".join(name.split())

    assert list(iter(tab, None)) == [
        "ABX test", "Play", "Loop", "Start region here", "End region here", "Remove region",
        "Matched loudness", "A Original −9.0 LUFS · 48 kHz · stereo −20.0 dB",
        "B Master −29.0 LUFS · 48 kHz · stereo 0.0 dB", "Position", "Region start", "Region end",
    ]  # fmt: skip
    player.focus()
    assert tab() == "ABX test"
    page.keyboard.press("Enter")
    assert tab() == "10"
    page.keyboard.press("ArrowLeft")
    assert tab() == "Start"
    page.keyboard.press("Enter")
    announced = player.locator(".ab-spoken[aria-live=polite]")
    assert announced.inner_text() == "Trial 1 of 8"
    assert list(iter(tab, None))[-8:] == [
        "A Original", "B Master", "X A or B", "X is A1", "X is B2", "Position", "Region start", "Region end",
    ]  # fmt: skip
    player.get_by_role("button", name="A or B").press("Enter")
    assert announced.inner_text() == "Listening to X"
    choice = player.get_by_role("button", name="X is B", exact=True)
    choice.press("Enter")
    assert announced.inner_text() == "Trial 2 of 8"
    expect(choice).to_be_focused()
    expect(choice).to_have_attribute("aria-disabled", "true")  # until the next X was heard
