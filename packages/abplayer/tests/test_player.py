"""What the player hands to the browser."""

from __future__ import annotations

import math
from pathlib import Path

import gradio as gr
import gradio_abplayer
import numpy as np
import pytest
import soundfile
from gradio_abplayer import HEAD, ABPlayer, Outline, Version, matched_gains_db, outline, read_outline

RATE = 48_000
STEPS = gradio_abplayer.WAVEFORM_STEPS


def sine(amplitude: float, channels: int = 2, seconds: float = 1.0) -> np.ndarray:
    """997 Hz, (time, channels)."""
    times = np.arange(round(seconds * RATE)) / RATE
    return np.repeat(amplitude * np.sin(2 * np.pi * 997 * times)[:, np.newaxis], channels, axis=1)


def tone(path: Path, amplitude: float, channels: int = 2) -> Path:
    soundfile.write(path, sine(amplitude, channels), RATE, subtype="PCM_24")
    return path


def test_the_louder_are_turned_down_to_the_quietest_of_known_loudness() -> None:
    assert matched_gains_db([-9.0, -29.0]) == [-20.0, 0.0]
    assert matched_gains_db([-14.0, None, -math.inf, -20.0]) == [-6.0, 0.0, 0.0, 0.0]
    assert matched_gains_db([]) == []


def test_one_channel_is_matched_as_two_loudspeakers_play_it(tmp_path: Path) -> None:
    stereo = Version("Stereo", tone(tmp_path / "stereo.wav", 0.5), -9.0)
    mono = Version("Mono", tone(tmp_path / "mono.wav", 0.5, channels=1), -9.0 - 10 * math.log10(2))
    sent = ABPlayer([stereo, mono]).postprocess([stereo, mono]).root
    assert [version.matched_gain_db for version in sent] == pytest.approx([0, 0])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_is_drawn_as_its_samples_are(tmp_path: Path, suffix: str) -> None:
    drawn = read_outline(tone(tmp_path / f"sine.{suffix}", 0.5))
    assert drawn == outline(sine(0.5).astype(np.float32), RATE)
    assert (drawn.rate, drawn.channels, drawn.seconds) == (RATE, 2, 1)
    assert set(drawn.peaks) == {round(0.5 * STEPS)}
    assert np.mean(drawn.levels) == pytest.approx(0.5 / math.sqrt(2) * STEPS, abs=0.5)


def test_a_subclass_reads_what_libsndfile_cannot(tmp_path: Path) -> None:
    class Raw(ABPlayer):
        """Plays 16-bit samples without a header."""

        def outline(self, path: str | Path) -> Outline:
            samples = np.frombuffer(Path(path).read_bytes(), "<i2") / 2**15
            return outline(samples[:, np.newaxis].astype(np.float32), RATE)

    path = tmp_path / "sound.samples"
    path.write_bytes(np.full(RATE, 2**14, "<i2").tobytes())
    with pytest.raises(soundfile.LibsndfileError):
        ABPlayer().postprocess([Version("Raw", path)])
    (sent,) = Raw().postprocess([Version("Raw", path)]).root
    assert set(sent.peaks.split()) == {str(STEPS // 2)}


def test_there_are_four_letters_and_no_more(tmp_path: Path) -> None:
    one = Version("One", tone(tmp_path / "one.wav", 0.5))
    assert len(ABPlayer().postprocess(4 * [one]).root) == 4
    with pytest.raises(ValueError, match="up to 4"):
        ABPlayer().postprocess(5 * [one])
    assert ABPlayer().postprocess([]) is None


def test_the_player_is_an_output_of_the_page_and_of_no_endpoint() -> None:
    with gr.Blocks() as demo:
        player, text = ABPlayer(), gr.Textbox()
        gr.Button().click(lambda: (None, ""), None, [player, text], api_name="compare")
    returns = demo.get_api_info()["named_endpoints"]["/compare"]["returns"]
    assert [result["component"] for result in returns] == ["Textbox"]


def test_the_head_has_the_script_and_the_style_once() -> None:
    assert HEAD.count("<script>") == HEAD.count("function startABPlayer(") == HEAD.count("<style>") == 1


def test_importing_writes_no_file_beside_the_package() -> None:
    assert not list(Path(gradio_abplayer.__file__).parent.glob("*.pyi"))
