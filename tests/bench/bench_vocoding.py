"""From mel bands to 5 seconds of sound: the vocoder and Griffin-Lim, ours, torchaudio's and librosa's.

Every method takes its turn in each round, and its best round counts; the smooth magnitude that Griffin-Lim
starts from is part of its time. Distances are those of `aural.vocoding.evaluate`, on shipped music, which the
vocoder has heard the first nine tenths of: figures on unheard sounds are in its model card.
"""

from __future__ import annotations

from time import perf_counter

import librosa
import torch
import torchaudio
from torch import Tensor

from aural import hub
from aural.audio import read
from aural.audio.resample import resample_samples
from aural.audio.spectral import DEFAULT_FRONT_END, log_mel, magnitude_from_mel, unscale
from aural.vocoding.evaluate import Method, log_spectral_distance_db, methods
from tests.loudness.examples import MUSIC

SECONDS = 5
ROUNDS = 3
ITERATIONS = 100


def main() -> None:
    """Print seconds and distances."""
    wave = music()
    threads = torch.get_num_threads()
    print(f"{SECONDS} s of music at {DEFAULT_FRONT_END.rate} Hz, best of {ROUNDS}, on {threads} threads")
    print(f"{'':28}{'seconds':>9}{'x real time':>13}{'LSD dB':>9}")
    for name, (seconds, distance_db) in compare(wave, every_method()).items():
        print(f"{name:28}{seconds:9.3f}{SECONDS / seconds:13.0f}{distance_db:9.2f}")


def music() -> Tensor:
    """(time,): one channel of a shipped piece."""
    clip = read(MUSIC[0])
    samples = resample_samples(clip.samples[:1], clip.rate, DEFAULT_FRONT_END.rate)[0]
    return torch.tensor(samples[: SECONDS * DEFAULT_FRONT_END.rate])


def every_method() -> dict[str, Method]:
    """Ours, and two peers that find as many phases."""
    ours = methods(hub.load("vocoder"))
    del ours["real sound"]
    return {**ours, f"torchaudio {ITERATIONS}": _torchaudio, f"librosa {ITERATIONS}": _librosa}


def compare(wave: Tensor, methods: dict[str, Method]) -> dict[str, tuple[float, float]]:
    """The best time of each method in seconds, and its log-spectral distance in dB."""
    mel = log_mel(wave)
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, method in methods.items():
            start = perf_counter()
            with torch.inference_mode():
                made = method(mel, wave)
            seconds = min(perf_counter() - start, best.get(name, (float("inf"), 0))[0])
            best[name] = seconds, log_spectral_distance_db(made, wave)
    return best


def _torchaudio(mel: Tensor, real: Tensor) -> Tensor:
    front_end = DEFAULT_FRONT_END
    find = torchaudio.transforms.GriffinLim(
        front_end.fft,
        ITERATIONS,
        front_end.window,
        front_end.hop,
        power=1,
        momentum=0.99,
        length=len(real),
    )
    # They divide no window by its sum.
    made: Tensor = find(magnitude_from_mel(unscale(mel)) * (front_end.window / 4))
    return made


def _librosa(mel: Tensor, real: Tensor) -> Tensor:
    front_end = DEFAULT_FRONT_END
    magnitude = magnitude_from_mel(unscale(mel)) * (front_end.window / 4)
    made = librosa.griffinlim(
        magnitude.numpy(),
        n_iter=ITERATIONS,
        hop_length=front_end.hop,
        momentum=0.99,
        length=len(real),
        pad_mode="constant",
        random_state=0,
    )
    return torch.from_numpy(made)


if __name__ == "__main__":
    main()
