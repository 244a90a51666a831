"""Make the shipped examples from source recordings: PYTHONPATH=. python tools/make_examples.py DATA

DATA contains music/ and speech/kathleen/; authors and licences are in aural/ui/examples/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.enhancement.degrade import Options, degrade_clip

EXAMPLES = Path(__file__).parents[1] / "aural" / "ui" / "examples"
RATE = 44_100  # Hz, of all the music
FADE_SECONDS = 0.03
VORBIS_COMPRESSION = 0.4  # libsndfile's scale: 0 best, 1 smallest

# Degraded versions of the speech, for the Enhance tab.
PHONES = {
    "phone_call.ogg": Options("phone_call"),
    "noisy_memo.ogg": Options("voice_memo", snr_db=5),
    "far_away.ogg": Options("far_away"),
}

# For super-resolution: sentences that were not trained on, at low rates, and a song as a small MP3.
NARROW = {
    "speech_8k.flac": ("arctic_b0404_1592530018.ogg", 8_000),
    "speech_16k.ogg": ("arctic_b0360_1592530953.ogg", 16_000),
}
MP3_RATE = 48_000  # Hz
MP3_BITS_PER_SECOND = 64_000
MP3_CUTOFF_HZ = 9_000  # cut-off of the encoder's low-pass
SONG_MP3_START = 120.5  # seconds; in the last tenth of the song, which was not trained on either

Samples = NDArray[np.float32]  # (channels, time)


def make(data: Path) -> None:
    """Write every example."""
    song = excerpt(read(data / "music/karissa_hobbs_lets_go_fishin.ogg"), 40.0, 12.0)
    fairy = excerpt(read(data / "music/macleod_sugar_plum_fairy.ogg"), 4.0, 12.0)
    vibes = excerpt(read(data / "music/macleod_vibe_ace.ogg"), 14.0, 7.0)
    brahms = read(data / "music/brahms_hungarian_dance_5.ogg")
    speech = read(data / "speech/kathleen/arctic_a0407_1592707574.ogg")
    save("song.ogg", song, RATE)
    save("orchestra.ogg", excerpt(brahms, 0.0, 12.0), RATE)
    save("celesta.ogg", fairy, RATE)
    save("speech.ogg", speech.samples, speech.rate)
    save("out_of_phase.flac", out_of_phase(vibes), RATE)
    for name, options in PHONES.items():
        phone = degrade_clip(speech, options)
        save(name, phone.samples, phone.rate)
    save("surround.flac", surround(excerpt(brahms, 0.0, 6.2), resample(speech, RATE).samples), RATE)
    for name, (file, rate) in NARROW.items():
        narrow = resample(read(data / "speech/kathleen" / file), rate)
        save(name, narrow.samples, rate)
    late = excerpt(read(data / "music/karissa_hobbs_lets_go_fishin.ogg"), SONG_MP3_START, 7.0)
    save_mp3("narrow_song.mp3", resample(Clip(late, RATE), MP3_RATE).samples)


def excerpt(clip: Clip, start: float, seconds: float) -> Samples:
    """A piece of a stereo recording, faded at both ends."""
    assert clip.rate == RATE
    samples = clip.samples[:, round(start * RATE) :][:, : round(seconds * RATE)].copy()
    fade = np.linspace(0, 1, round(FADE_SECONDS * RATE), dtype=np.float32)
    samples[:, : len(fade)] *= fade
    samples[:, -len(fade) :] *= fade[::-1]
    return samples


def out_of_phase(stereo: Samples) -> Samples:
    """The mid channel on the left and inverted on the right: their sum is silence."""
    middle = stereo.mean(axis=0)
    return np.stack([middle, -middle])


def surround(stereo: Samples, speech: Samples) -> Samples:
    """5.1 as L, R, C, LFE, Ls, Rs: music in front, speech in the centre, dull delayed music behind."""
    frames = stereo.shape[1]
    centre = delay(0.7 * speech[0], 0.0, frames)
    bass = sosfilt(butter(4, 120, output="sos", fs=RATE), stereo.mean(axis=0))
    dull = sosfilt(butter(2, 5000, output="sos", fs=RATE), stereo)
    behind = [delay(0.4 * dull[0], 0.017, frames), delay(0.4 * dull[1], 0.023, frames)]
    return np.stack([*(0.5 * stereo), centre, 0.5 * bass, *behind]).astype(np.float32)


def delay(samples: Samples, seconds: float, frames: int) -> Samples:
    """Delay one channel, and cut or pad it to a length."""
    late = round(seconds * RATE)
    return np.pad(samples, (late, frames))[:frames]


def save(name: str, samples: Samples, rate: int) -> None:
    path = EXAMPLES / name
    if path.suffix == ".ogg":
        soundfile.write(path, samples.T, rate, compression_level=VORBIS_COMPRESSION)
    else:
        # FLAC defines six channels as L, R, C, LFE, Ls, Rs (RFC 9639, section 9.1.3): no mask is needed.
        soundfile.write(path, samples.T, rate, subtype="PCM_16", compression_level=1.0)
    report(path, samples.shape[1] / rate)


def save_mp3(name: str, samples: Samples) -> None:
    """A stereo file with the rate `MP3_RATE` whose band ends at `MP3_CUTOFF_HZ`."""
    path = EXAMPLES / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=MP3_RATE, layout="stereo", format="fltp")
        stream.bit_rate = MP3_BITS_PER_SECOND
        stream.options = {"cutoff": str(MP3_CUTOFF_HZ)}
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", "stereo")
        frame.sample_rate = MP3_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    report(path, samples.shape[1] / MP3_RATE)


def report(path: Path, seconds: float) -> None:
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {seconds:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    make(parser.parse_args().data)
