"""LISA as a function of time, whole or in pieces, at any level; and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aural import hub
from aural.errors import InputError
from aural.superres import lisa as lisa_module
from aural.superres import train_lisa
from aural.superres.lisa import Lisa, LisaConfig
from aural.superres.train_lisa import (
    MAX_RATE,
    MIN_RATE,
    QUERIES,
    RATE,
    TINY,
    Examples,
    Objective,
    batches,
    main,
    objective_of,
    validation,
)
from aural.training.checkpoints import save
from aural.training.corpus import Corpus, Recording
from aural.training.loop import Settings
from tests.checkpoints import instead
from tests.enhancement.small_corpus import small_corpus, write_folder

LENGTH = 400


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two validation sentences of one second."""
    monkeypatch.setattr(train_lisa, "VALIDATION_ITEMS", 2)
    monkeypatch.setattr(train_lisa, "VALIDATION_SECONDS", 1)


def tiny(config: LisaConfig = TINY) -> Lisa:
    torch.manual_seed(0)
    return Lisa(config).eval().requires_grad_(False)


def noise(batch: int = 1, length: int = LENGTH, seed: int = 0) -> Tensor:
    return torch.randn(batch, length, generator=torch.Generator().manual_seed(seed))


def times(length: int = LENGTH, rate: float = 2.37) -> Tensor:
    """Those of samples that are `rate` times as dense."""
    return torch.arange(round(length * rate), dtype=torch.float64) / rate


def test_the_published_one_has_its_published_size() -> None:
    # 9,984 of the encoder; 97 inputs to 128, four times 128 to 128, and 128 to 1 of the decoder.
    encoder = (7 + 1) * 16 + (16 * 3 + 1) * 32 + (32 * 3 + 1) * 64 + (64 + 1) * 32
    decoder = (97 + 1) * 128 + 4 * (128 + 1) * 128 + 129
    count = sum(weight.numel() for weight in Lisa(LisaConfig()).parameters())
    assert count == encoder + decoder == 88_705


def test_a_batch_has_the_values_of_its_items_and_each_may_have_times_of_its_own() -> None:
    lisa, samples = tiny(), noise(3)
    shared = lisa(samples, times())
    assert shared.shape == (3, len(times()))
    own = torch.stack([times(), times() + 0.3, times() * 0.5])
    apart = lisa(samples, own)
    for number in range(3):
        alone = samples[number : number + 1]
        torch.testing.assert_close(lisa(alone, times())[0], shared[number], rtol=0, atol=1e-6)
        torch.testing.assert_close(lisa(alone, own[number])[0], apart[number], rtol=0, atol=1e-6)


def test_pieces_with_their_context_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    lisa, samples = tiny(), noise()
    whole = lisa(samples, times())
    monkeypatch.setattr(lisa_module, "BLOCK", 7)
    torch.testing.assert_close(lisa(samples, times()), whole, rtol=0, atol=1e-6)
    found = []
    for start in range(0, LENGTH, 50):
        asked = times()[(times() >= start) & (times() < start + 50)]
        # The last time is before the sample at start + 50, so `context` around 50 - 1 is enough.
        first, last = max(0, start - lisa.context), start + 49 + lisa.context
        found.append(lisa(samples[:, first : last + 1], asked - first))
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=0, atol=1e-6)


def test_nothing_depends_on_samples_beyond_the_context_and_something_on_the_last_within() -> None:
    lisa, samples = tiny(), noise()
    time = torch.tensor([200.5], dtype=torch.float64)
    value = lisa(samples, time)

    def changed(position: int) -> Tensor:
        other = samples.clone()
        other[:, position] += 10
        return lisa(other, time)

    for position in (200 - lisa.context, 201 + lisa.context):
        assert torch.equal(changed(position), value)
    # The level's window ends softly: what it adds at its ends is small, not nothing.
    for position in (200 - lisa.context + 1, 201 + lisa.context - 1):
        assert (changed(position) - value).abs() > 1e-9


def test_the_sound_is_continuous_in_time_and_the_samples_are_where_they_were() -> None:
    lisa, samples = tiny(), noise()
    joints = torch.arange(1, LENGTH - 1, dtype=torch.float64)
    before, at, after = (lisa(samples, joints + shift) for shift in (-1e-6, 0, 1e-6))
    assert (before - at).abs().max() < 1e-4 * at.std()
    assert (after - at).abs().max() < 1e-4 * at.std()
    # A delay of the samples is a delay of the sound.
    delayed = lisa(torch.nn.functional.pad(samples, (13, 0)), times() + 13)
    torch.testing.assert_close(delayed, lisa(samples, times()), rtol=0, atol=1e-6)


def test_times_may_come_in_any_order_and_lie_beyond_the_ends() -> None:
    lisa, samples = tiny(), noise()
    asked = torch.linspace(-150, LENGTH + 150, 999, dtype=torch.float64)
    ordered = lisa(samples, asked)
    shuffle = torch.randperm(999, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(lisa(samples, asked[shuffle]), ordered[:, shuffle], rtol=0, atol=1e-6)
    silent = (asked < -lisa.context) | (asked > LENGTH + lisa.context)
    assert silent.sum() > 100
    assert not ordered[:, silent].any()
    assert lisa(samples, asked[:0]).shape == (1, 0)
    # Silence may be written out or left out.
    padded = torch.nn.functional.pad(samples, (200, 200))
    torch.testing.assert_close(lisa(padded, asked + 200), ordered, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gain", [1e-5, 0.3, -4.0, 1000.0])
def test_a_gain_on_the_samples_is_a_gain_on_the_sound(gain: float) -> None:
    lisa, samples = tiny(), noise()
    value, scaled = lisa(samples, times()), lisa(abs(gain) * samples, times())
    torch.testing.assert_close(scaled, abs(gain) * value, rtol=0, atol=abs(gain) * 1e-5)
    # That holds for gains above 0; the network may respond differently to the opposite sign.
    if gain < 0:
        assert not torch.allclose(lisa(gain * samples, times()), gain * value, rtol=0, atol=1e-3)


def test_silence_is_silent_and_a_single_sample_is_something() -> None:
    lisa = tiny()
    assert not lisa(torch.zeros(2, LENGTH), times()).any()
    click = torch.zeros(1, LENGTH)
    click[:, 100] = 1
    value = lisa(click, times())
    assert value.isfinite().all()
    assert value.any()
    assert not value[:, (times() - 100).abs() > lisa.context].any()
    assert lisa(torch.ones(1, 1), times(1)).isfinite().all()


def test_the_selection_is_random_in_training_only_and_of_the_seed() -> None:
    lisa, samples = tiny(), noise()
    assert torch.equal(lisa(samples, times()), lisa(samples, times()))
    lisa.train()

    def trained(seed: int) -> Tensor:
        torch.manual_seed(seed)
        found: Tensor = lisa(samples, times())
        return found

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_the_selected_samples_lie_half_a_sample_around_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    lisa, samples = tiny().train(), noise()
    asked = torch.full((20_000,), 200.25, dtype=torch.float64)
    seen: list[Tensor] = []

    def values(samples: Tensor, centres: Tensor, offsets: Tensor) -> Tensor:
        assert torch.equal(centres, centres.round())
        torch.testing.assert_close(centres + offsets, asked, rtol=0, atol=1e-12)
        seen.append(offsets)
        return torch.zeros(len(samples), centres.shape[-1])

    monkeypatch.setattr(lisa, "_values", values)
    lisa(samples, asked)
    # Rounding to whole samples adds the variance of one sample's width, 1/12.
    assert seen[0].mean().abs() < 0.02
    assert seen[0].std() == pytest.approx((lisa_module.JITTER**2 + 1 / 12) ** 0.5, abs=0.02)


def test_examples_are_in_time_with_their_sound() -> None:
    # Tones: what is wanted at a time is known, and what was read there too.
    time = np.arange(2 * RATE) / RATE
    hz = 700.0
    tone = (8_000 * np.sin(2 * np.pi * hz * time)).astype(np.int16)
    draw = batches(Corpus(tone, (Recording("speech", 0, len(tone), -1, False),)), 12)
    examples = draw(torch.Generator().manual_seed(0))
    again = draw(torch.Generator().manual_seed(0))
    assert torch.equal(examples.samples, again.samples)
    assert torch.equal(examples.targets, again.targets)
    assert examples.targets.shape == examples.positions.shape == (12, QUERIES)
    checked = 0
    for samples, positions, targets in zip(
        examples.samples, examples.positions, examples.targets, strict=True
    ):
        step = float(positions[1] - positions[0])
        assert MIN_RATE / RATE <= step <= MAX_RATE / 8_000
        # A middle stretch, away from the ends of the segment: a sine of the level that all are brought to.
        middle = targets[3000:5000].double()
        phases = positions[3000:5000]
        # Its frequency in cycles per sample of the input, found from the wanted values alone.
        cosine = (middle[2:] + middle[:-2]) @ middle[1:-1] / (2 * middle[1:-1] @ middle[1:-1])
        cycles = float(torch.arccos(cosine)) / (2 * np.pi * step)
        first, last = int(phases[0]) - 20, int(phases[-1]) + 20
        places = torch.arange(first, last, dtype=torch.float64)
        angle, asked = (2 * np.pi * cycles * values for values in (places, phases))
        basis = torch.stack((angle.cos(), angle.sin()), 1)
        fitted = torch.linalg.lstsq(basis, samples[first:last].double()[:, None]).solution
        told = (torch.stack((asked.cos(), asked.sin()), 1) @ fitted)[:, 0]
        assert (told - middle).abs().max() < 0.01 * middle.abs().max()
        checked += 1
    assert checked == 12


def test_low_rates_are_of_the_range_and_half_of_them_common() -> None:
    wave = noise(1, RATE)[0].numpy()
    generator = torch.Generator().manual_seed(0)
    drawn = [train_lisa._at_low_rate(wave, generator) for _ in range(60)]
    rates = [rate for rate, _ in drawn]
    assert all(MIN_RATE <= rate <= MAX_RATE for rate in rates)
    assert 15 <= sum(rate in train_lisa.COMMON_RATES for rate in rates) <= 45
    assert all(abs(len(low) - rate) <= 1 for rate, low in drawn)


def test_recordings_that_are_too_short_are_refused() -> None:
    short = Corpus(np.ones(RATE // 2, np.int16), (Recording("speech", 0, RATE // 2, -1, False),))
    with pytest.raises(
        InputError, match=r"No training recording lasts 1 s\. Choose a folder with longer ones\."
    ):
        batches(short, 2)


def test_the_loss_is_nothing_for_the_sound_itself_and_counts_samples_and_spectra() -> None:
    targets = 0.1 * noise(2, QUERIES)

    class Saying(torch.nn.Module):
        def __init__(self, values: Tensor) -> None:
            super().__init__()
            self.values = values

        def forward(self, *_: Tensor) -> Tensor:
            return self.values

    examples = Examples(noise(2), times().expand(2, -1), targets)
    perfect, _ = objective_of(Objective())(Saying(targets), examples)
    assert perfect < 1e-8
    _, shown = objective_of(Objective())(Saying(0.9 * targets), examples)
    assert shown["snr_db"] == pytest.approx(20.0, abs=0.01)
    # Another noise of the same spectrum is wrong in its samples; a sign is wrong in nothing but them.
    _, other = objective_of(Objective())(Saying(0.1 * noise(2, QUERIES, seed=1)), examples)
    _, turned = objective_of(Objective())(Saying(-targets), examples)
    assert turned["distance"] == pytest.approx(0, abs=1e-6)
    assert other["distance"] > 0.01
    assert turned["loss"] == pytest.approx(float(2 * targets.abs().mean()), rel=1e-4)


def run_of(folder: Path, steps: int, **others: object) -> Settings:
    settings = Settings(folder, steps, 2, warm_up=1, log_steps=1, validate_steps=1000)
    return replace(settings, **others)  # type: ignore[arg-type]


def test_training_lowers_the_loss_and_a_resumed_run_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    corpus, objective = small_corpus(), Objective(learning_rate=1e-2)
    whole, outcome = train_lisa.train_lisa(corpus, TINY, objective, run_of(tmp_path / "whole", 20))
    losses = [entry["loss"] for entry in outcome.history if "loss" in entry]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:3])
    assert {"8k_snr_db", "8k_sinc_lsd"} <= {key.split("/")[-1] for key in outcome.history[-1]}
    train_lisa.train_lisa(corpus, TINY, objective, run_of(tmp_path / "cut", 20, minutes=1e-6))
    resumed, _ = train_lisa.train_lisa(corpus, TINY, objective, run_of(tmp_path / "cut", 20, resume=True))
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, rtol=0, atol=1e-6)


def test_the_validation_compares_sinc_with_the_model() -> None:
    figures = validation(small_corpus())({"lisa": tiny()})
    # The buzz of the corpus ends below 8 kHz, and sinc gives back what is below a low rate's half.
    assert figures["12k_sinc_snr_db"] > figures["8k_sinc_snr_db"] > figures["8k_snr_db"]
    assert figures["8k_sinc_lsd"] < figures["8k_lsd"]
    # Any length will do.
    corpus = small_corpus()
    odd = tuple(replace(item, length=item.length - 7) for item in corpus.recordings)
    assert validation(Corpus(corpus.samples, odd))({"lisa": tiny()}).keys() == figures.keys()


def test_the_smoke_run_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_folder(tmp_path / "data")
    main(["--data", str(folder), "--folder", str(tmp_path / "run"), "--smoke"])
    assert (tmp_path / "run" / "run.json").is_file()


def test_a_saved_one_is_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    lisa = tiny()
    save("lisa", lisa, TINY.to_dict(), "MIT", half=False, folder=tmp_path)
    with instead(tmp_path):
        loaded = hub.load("lisa", device="cpu")
        assert torch.equal(loaded(noise(), times()), lisa(noise(), times()))
