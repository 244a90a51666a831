"""Analyze -> repair -> denoise -> complete -> voice chain, or the level of the input -> analyze.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast, get_args

import numpy as np
from annotated_doc import Doc
from numpy.typing import NDArray

from aural import hub
from aural.audio.bandwidth import bandwidth
from aural.audio.chunks import join
from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.missing_band import missing_band, trained_bandwidth
from aural.audio.repair import WithoutLows, repair
from aural.audio.resample import ResampleStream, resample, resample_samples
from aural.audio.sample_file import SampleFile
from aural.audio.steps import Steps, part, stepwise
from aural.enhancement.analysis import Analysis, analyze
from aural.enhancement.level import ACTIVE_RMS, active_level, active_level_of
from aural.enhancement.voice_chain import VOICE_CHAINS, VoiceChain, VoiceChainResult, voice_chain_steps
from aural.errors import OptionError
from aural.hub.device import inference, pick_device
from aural.loudness import pipeline as mastering
from aural.loudness.layouts import layout_of, lfe_channels
from aural.loudness.meter import Loudness, integrated_lufs, measure
from aural.options import Outcome, require, require_known, require_switch, require_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aural.enhancement.completer import Completer
    from aural.enhancement.denoiser import Denoiser
    from aural.enhancement.denoiser_convolutional import FrontEndDenoiser

Setting = Literal["original_phase", "griffin_lim", "vocoder"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
CompletionMethod = Literal["completer", "extender"]
COMPLETION_METHODS: tuple[CompletionMethod, ...] = get_args(CompletionMethod)
PRESETS = tuple(VOICE_CHAINS)
EXPAND_RATES = (44_100, 48_000)

CHUNK_FRAMES = 480  # frames of the front end, 7.68 s; twice as long takes 110 MB more and is no faster
OVERLAP_FRAMES = 64  # 1.02 s
MIN_PEAK = 1e-9  # -180 dB; anything quieter is silence
MIN_LEVEL = 0.01  # of the whole level: a sound that is all bass is not fed at that of the rest
DENOISING_SHARE = 0.7  # of the networks' time, if the extender follows
MIN_EXTENDED_SECONDS = 0.1  # a shorter voice has no bandwidth to speak of
SILENT_CELL_SECONDS = 0.016
# The completer leaves the recorded band alone: from this share of its bandwidth on, it adds more and more.
COMPLETED_FROM = 0.85
# A voice that reaches so far has its highs: between these, less and less is completed.
COMPLETE_HZ = 11_000.0, 13_000.0
NEARLY_CLEAN, PARTLY_CLEAN = 0.5, 0.9  # shares of the strength that are made, below which it is said
MIN_CLIPPING_SHARE = 1e-4  # share of clipped samples; less is not reported
# Without a voice chain, the loudness stays.
CEILING_DBTP = -1.0
KEPT_LU = 0.1  # a smaller change is left as it is
MAX_GAIN_DB = 12.0  # either way: what is left of a noise without a voice is not raised to the noise's level
# The vocoder's band ends at 11 kHz; above this crossover the enhanced sound is used.
CROSSOVER_HZ = 9_500.0
CROSSOVER_TAPS = 511  # 300 Hz of transition at 48 kHz


@dataclass(frozen=True)
class Options:
    """Settings of the enhancement.

    Raises:
        OptionError: a value out of range.
    """

    preset: Annotated[
        str,
        Doc(
            f"one of {', '.join(PRESETS)}; restore only repairs, the others add EQ, compression and loudness"
        ),
    ] = "restore"
    strength: Annotated[
        float, Doc("strength of noise reduction and completion, 0 to 1; 0 returns the input unchanged")
    ] = 1.0
    noise_reduction: Annotated[bool, Doc("remove noise, echo and clipping")] = True
    completion: Annotated[bool, Doc("reconstruct the highs the phone cut off")] = True
    expand_rate: Annotated[
        int | None,
        Doc(f"sample rate of the result, one of {', '.join(map(str, EXPAND_RATES))}; None: from the input"),
    ] = None
    setting: Annotated[Setting, Doc(f"how the waveform is made, one of {', '.join(SETTINGS)}")] = (
        "original_phase"
    )
    background_db: Annotated[
        float | None,
        Doc(
            "gain of the removed background that is mixed back in, -60 to 12 dB; the default leaves a soft "
            "floor, so that pauses do not sound cut out; None: off"
        ),
    ] = -30.0
    mastering: Annotated[bool, Doc("apply the preset's EQ, compression, de-essing and loudness")] = True
    loudness_lufs: Annotated[
        float | None, Doc("loudness of the result in LUFS, -60 to 0; None: from the preset")
    ] = None
    mix: Annotated[float, Doc("mix of the voice chain, 0 (dry) to 1 (wet); loudness is set afterwards")] = 1.0
    seed: Annotated[
        int,
        Doc("random seed of completer, Griffin-Lim and vocoder, 0 to 2³² - 1"),
    ] = 0
    completion_method: Annotated[
        CompletionMethod,
        Doc(
            f"network of the completion, one of {', '.join(COMPLETION_METHODS)}; completer also evens out "
            "what the phone kept, extender leaves it untouched"
        ),
    ] = "completer"
    adaptive: Annotated[
        bool,
        Doc("reduce noise by the strength where there is noise, and by less where the recording is clean"),
    ] = True

    def __post_init__(self) -> None:
        require_known("preset", self.preset, PRESETS)
        require_known("setting", self.setting, SETTINGS)
        require_known("method of the completion", self.completion_method, COMPLETION_METHODS)
        require("strength", self.strength, 0, 1)
        require("mix of the voice chain", self.mix, 0, 1)
        for name in ("noise_reduction", "completion", "mastering", "adaptive"):
            require_switch(name, getattr(self, name))
        if self.expand_rate is not None and self.expand_rate not in EXPAND_RATES:
            raise OptionError(
                f"The sample rate can be {' or '.join(map(str, EXPAND_RATES))} Hz, not {self.expand_rate}. "
                "Choose one of these, or none to keep the file's own."
            )
        if self.background_db is not None:
            require("gain of the background", self.background_db, -60, 12, " dB")
        if self.loudness_lufs is not None:
            require("loudness", self.loudness_lufs, -60, 0, " LUFS")
        require_whole("seed", self.seed, 0, 2**32 - 1)

    @property
    def completes_by(self) -> CompletionMethod | None:
        """The network of the completion; None without one."""
        return self.completion_method if self.completion else None

    @property
    def voice_chain(self) -> VoiceChain | None:
        """The voice chain, with the requested loudness; None without one."""
        if not self.mastering:
            return None
        chosen = VOICE_CHAINS[self.preset]
        if self.loudness_lufs is None:
            return chosen
        if chosen is None:
            return VoiceChain(self.loudness_lufs, high_pass_hz=None, compressor=None, de_esser=None)
        return replace(chosen, loudness_lufs=self.loudness_lufs)


@dataclass(frozen=True)
class Result:
    """An enhanced clip, its analysis before and after, and what was done."""

    clip: Clip  # channels, duration, rate and level of the input, unless the options change them
    background: Clip  # the removed background, at the rate and level of the input; see `enhance`
    before: Analysis  # analysis of the input without damage and rumble; its loudness is with them
    after: Analysis  # analysis of the result
    voice_chain: VoiceChainResult | None  # what the voice chain did; None without one
    pitch_seconds: NDArray[np.float64]  # (frames,), times of the next two; empty if no stage ran
    f0_hz: NDArray[np.float32]  # (frames,), also in unvoiced frames: see the voicing
    voicing: NDArray[np.float32]  # (frames,), 0 to 1
    message: str  # the changes, in words
    strength: float = 0.0  # of the noise reduction, on average; 0 without one

    def figures(self) -> dict[str, Any]:
        """The figures of the result."""
        return {
            "before": self.before.figures(),
            "after": self.after.figures(),
            "finish": None if self.voice_chain is None else self.voice_chain.figures(),
            "strength": round(self.strength, 2),
            "message": self.message,
        }


@stepwise
def enhance(clip: Clip, options: Options | None = None) -> Steps[Result]:
    """Make a phone recording sound as if it came from a studio.

    The voice keeps its timing and, in the default setting, its phase. All channels get the same mask, so the
    stereo image stays. Digital silence in the input stays silent, except for the decay of the voice chain's
    filters. Frequencies above 24 kHz are lost, and those above half the input's rate, unless it is expanded.
    Without a voice chain, the result is as loud as the recording, and its true peak at most -1 dBTP.

    Damaged samples, a DC offset and rumble below hearing are removed first, see `aural.audio.repair`. The
    analysis before is made without them; its loudness and true peak are those of the input as it is.

    The background is the mixture under the denoiser's second mask: noise without the voice and its
    reverberation. Background and voice need not add up to the input, since the voice also loses its
    reverberation and clipping. Without noise reduction the background is silent. The strength applies to the
    background that is mixed back, too.

    Args:
        clip: any rate from 4 kHz; one sample to hours.

    Raises:
        InputError: an empty clip, samples that are not finite, or a rate below 4 kHz.
        CheckpointError: a model is not available.
    """
    options = options or Options()
    clip.require_finite()
    repaired = yield from part(repair.steps(clip, lfe_channels(layout_of(clip))), 0.0, 0.02)
    source = repaired.clip
    # Loudness and peak are those of the input, damaged as it may be.
    found = None if source is clip else measure(clip)
    before = yield from part(analyze.steps(source, found), 0.02, 0.15)
    if reason := _reason_to_keep(clip, source, options):
        return _keep_clip(clip, before, f"No change: {reason}.")
    loudness = before.loudness if source is clip else measure(source)
    if options.noise_reduction or options.completion:
        stages = _stages_steps(source, options, _silent_spans(clip))
        voice, background, track, strength = yield from part(stages, 0.15, 0.65)
        _keep_lfe(voice, options.expand_rate or clip.rate, source)
    else:
        voice = resample(source, options.expand_rate or clip.rate).samples
        background, track, strength = _silence(clip), _Track.of_frames(0), 0.0
    finishing = _finish_steps(voice, source, options, loudness)
    del voice  # frees memory for what follows
    made, loudness, processed, remark = yield from part(finishing, 0.65, 0.85)
    after = yield from part(analyze.steps(made, loudness), 0.85, 1.0)
    return Result(
        clip=made,
        background=background,
        before=before,
        after=after,
        voice_chain=processed,
        pitch_seconds=track.seconds,
        f0_hz=track.f0_hz,
        voicing=track.voicing,
        message=" ".join(
            filter(
                None,
                (
                    repaired.message,
                    _changes(before, after),
                    _strength_message(strength, options),
                    "" if processed is None else processed.message,
                    remark,
                ),
            )
        ),
        strength=strength,
    )


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `enhance`."""
    result = yield from enhance.steps(clip, options)
    loudness = result.before.loudness, result.after.loudness
    return Outcome((result.clip,), result.figures(), result.message, *loudness)


@dataclass(frozen=True)
class _Track:
    """The pitch over time. Shape: (frames,) each."""

    seconds: NDArray[np.float64]
    f0_hz: NDArray[np.float32]
    voicing: NDArray[np.float32]

    @classmethod
    def of_frames(cls, count: int, frame_seconds: float = 0.0) -> _Track:
        """An empty track of this many frames."""
        seconds = np.arange(count, dtype=np.float64) * frame_seconds
        return cls(seconds, np.zeros(count, np.float32), np.zeros(count, np.float32))


def _reason_to_keep(clip: Clip, source: Clip, options: Options) -> str:
    """Why nothing is to be done; or empty."""
    if options.strength == 0:
        return "the strength is 0"
    if not max(source.samples.max(), -source.samples.min()) > MIN_PEAK:
        return "the clip is silent"
    is_on = options.noise_reduction or options.completion or options.voice_chain is not None
    return "" if is_on or options.expand_rate not in (None, clip.rate) else "everything is switched off"


def _keep_clip(clip: Clip, found: Analysis, message: str) -> Result:
    track = _Track.of_frames(0)
    return Result(
        clip, _silence(clip), found, found, None, track.seconds, track.f0_hz, track.voicing, message
    )


def _silence(clip: Clip) -> Clip:
    return clip.with_samples(np.zeros(clip.samples.shape, np.float32))


def _changes(before: Analysis, after: Analysis) -> str:
    """The changes, in words."""
    changes = []
    if before.snr_db is not None and after.snr_db is not None:
        changes.append(f"Noise: {before.snr_db:.0f} → {after.snr_db:.0f} dB SNR (estimated)")
    if before.bandwidth_hz is not None and after.bandwidth_hz is not None:
        changes.append(f"Bandwidth: {before.bandwidth_hz / 1000:.1f} → {after.bandwidth_hz / 1000:.1f} kHz")
    if before.clipping_share > MIN_CLIPPING_SHARE:
        changes.append(f"Clipping: {before.clipping_share:.1%} → {after.clipping_share:.1%}")
    if before.reverberation_seconds is not None and after.reverberation_seconds is not None:
        changes.append(
            f"Reverberation: {before.reverberation_seconds:.1f} → {after.reverberation_seconds:.1f} s"
        )
    return f"{' · '.join(changes)}." if changes else "The clip is too short or too quiet to analyze."


def _strength_message(strength: float, options: Options) -> str:
    """Why noise was reduced by less than the strength, if it was."""
    share = strength / options.strength
    if not (options.noise_reduction and options.adaptive and share < PARTLY_CLEAN):
        return ""
    found = "the recording is nearly clean" if share < NEARLY_CLEAN else "parts of the recording are clean"
    return f"Strength {strength:.1f}: {found}."


def _finish_steps(
    samples: Samples, source: Clip, options: Options, loudness: Loudness
) -> Steps[tuple[Clip, Loudness, VoiceChainResult | None, str]]:
    """The voice at its final level, its loudness, what the voice chain did, and a remark.

    Args:
        samples: of the voice, (channels, time); overwritten if they may be.
        loudness: of the source.
    """
    is_source = samples is source.samples
    voice = source if is_source else Clip(samples, options.expand_rate or source.rate, source.layout)
    if options.voice_chain is None:
        kept, measured, remark = yield from _keep_loudness_steps(voice, samples, source, loudness)
        return kept, measured, None, remark
    # The loudness of the source is that of the voice where nothing was changed.
    known_lufs = loudness.integrated_lufs if is_source else None
    processing = voice_chain_steps(voice, options.voice_chain, options.mix, known_lufs)
    del voice, samples  # frees memory for what follows
    processed = yield from processing
    return processed.clip, processed.loudness, processed, ""


def _keep_loudness_steps(
    voice: Clip, samples: Samples, source: Clip, before: Loudness
) -> Steps[tuple[Clip, Loudness, str]]:
    """The voice as loud as its source and with its true peak below the ceiling, its loudness, and a remark.

    A gain does it, and the limiter for the peaks that it would leave above the ceiling.

    Args:
        samples: of the voice; overwritten if they may be.
    """
    measured = yield from part(measure.steps(voice), 0.0, 0.3)
    change_lu = _change_lu(measured, source, before)
    gain_db = 0.0 if abs(change_lu) <= KEPT_LU else -min(max(change_lu, -MAX_GAIN_DB), MAX_GAIN_DB)
    peak_dbtp, wanted = measured.true_peak_dbtp, measured.integrated_lufs
    if peak_dbtp is None or (gain_db == 0 and peak_dbtp <= CEILING_DBTP):
        return voice, measured, ""
    if peak_dbtp + gain_db <= CEILING_DBTP or wanted is None:
        fitting_db = min(gain_db, CEILING_DBTP - peak_dbtp)
        gain, place = np.float32(10 ** (fitting_db / 20)), samples if samples.flags.writeable else None
        return (
            voice.with_samples(np.multiply(samples, gain, out=place)),
            measured.after_gain(fitting_db),
            "",
        )
    target_lufs = min(max(wanted + gain_db, -60.0), 0.0)
    options = mastering.Options(mastering.FREE, target_lufs, CEILING_DBTP)
    mastered = yield from part(mastering.master.steps(voice, options, measured), 0.3, 1.0)
    reached = mastered.after.integrated_lufs
    lower_lu = 0.0 if reached is None else wanted + gain_db - reached
    is_lower = lower_lu > KEPT_LU
    remark = f"The level is {lower_lu:.1f} LU lower, to keep the true peak below −1 dBTP." if is_lower else ""
    return mastered.clip, mastered.after, remark


def _change_lu(after: Loudness, source: Clip, before: Loudness) -> float:
    """How much louder the voice is than its source."""
    levels = [measured.integrated_lufs for measured in (before, after)]
    if None in levels:
        # Below the meter's gate: both are judged at a level where there is a loudness.
        level = active_level(source.samples)
        if level == 0:
            return 0.0
        gain = min(ACTIVE_RMS / level, 1e20)
        levels = [
            integrated_lufs(measured.powers * gain**2, measured.seconds) for measured in (before, after)
        ]
    quiet, loud = levels
    return 0.0 if quiet is None or loud is None else loud - quiet


def _stages_steps(
    clip: Clip, options: Options, silent: list[tuple[int, int]]
) -> Steps[tuple[Samples, Clip, _Track, float]]:
    """Both stages over the whole clip, in chunks: the voice at its new rate, the background, the pitch, and
    the strength on average.

    Chunks are joined as in `aural.audio.chunks`, with these differences: there are two sounds and a pitch,
    every chunk starts on a frame of the whole clip, so frames do not depend on the chunk, and long clips are
    not copied.

    Args:
        silent: where the result has to be silent, in samples.
    """
    from aural.enhancement.features import FRONT_END

    yield 0.0  # loading takes a moment the first time
    hop, rate = FRONT_END.hop, FRONT_END.rate
    chunk, overlap = CHUNK_FRAMES * hop, OVERLAP_FRAMES * hop
    work = clip.samples if clip.rate == rate else resample_samples(clip.samples, clip.rate, rate)
    # What lies below a voice does not count.
    level = active_level_of(WithoutLows(Clip(work, rate)))
    enhancer = _Enhancer(options, max(level, MIN_LEVEL * active_level(work)))
    length = work.shape[1]
    # A resampled clip is overwritten by the voice.
    voice = np.empty(work.shape, np.float32) if work is clip.samples else work
    background = _Background(clip, rate, silent)
    track = _Track.of_frames(FRONT_END.frames(length), hop / rate)
    end = 0
    share = DENOISING_SHARE if options.completes_by == "extender" else 0.95
    for number, (start, piece) in enumerate(_pieces(work, chunk, overlap, hop)):
        made = enhancer(piece, options.seed + number)
        join(voice, made.voice, start, end, overlap)
        # The pitch track switches in the middle of the cross-fade.
        first = max(0, end - overlap // 2) // hop
        track.f0_hz[first : start // hop + made.f0_hz.size] = made.f0_hz[first - start // hop :]
        track.voicing[first : start // hop + made.voicing.size] = made.voicing[first - start // hop :]
        end = start + piece.shape[1]
        background.add(made.background, start, overlap, is_last=end == length)
        yield share * end / length
    del work, made, piece
    if options.completes_by == "extender":
        yield from part(_extend_steps(voice, enhancer.gain, options.strength), share, 0.95)
    strength = enhancer.mean_strength
    del enhancer
    voice = _at_rate(voice, rate, clip, options.expand_rate or clip.rate, silent)
    return voice, clip.with_samples(background.file.read()), track, strength


class _Extender(Protocol):
    """The network of super-resolution, which the hub builds: this room does not import that one."""

    def pieces(self, samples: Tensor, bandwidth_hz: float, gain: float) -> Iterator[tuple[int, Tensor]]: ...


def _extend_steps(voice: Samples, gain: float, strength: float) -> Steps[None]:
    """Add the band that the voice lacks, in place.

    Args:
        voice: (channels, time) at the front end's rate.
        gain: brings the voice to the level that the networks expect.
    """
    import torch

    from aural.enhancement.features import FRONT_END

    clip = Clip(voice, FRONT_END.rate)
    if clip.seconds < MIN_EXTENDED_SECONDS:
        return
    band = yield from part(bandwidth.steps(clip), 0.0, 0.1)
    if missing_band(clip.rate, clip.rate, band.hz) is None:
        return
    device = pick_device()
    extender = cast(_Extender, hub.load("extender", device=device))
    samples = torch.from_numpy(voice)
    pieces = extender.pieces(samples, trained_bandwidth(band.hz), gain)
    while True:
        with inference(device):  # left before each step
            made = next(pieces, None)
        if made is None:
            return
        start, piece = made
        samples[:, start : start + piece.shape[1]] += strength * piece
        yield 0.1 + 0.9 * start / clip.frames


def _keep_lfe(voice: Samples, rate: int, source: Clip) -> None:
    """Put the source's own effects channels, in which a mask finds no speech, into the voice."""
    lfe = list(lfe_channels(layout_of(source)))
    if lfe:
        kept = resample(source.with_samples(source.samples[lfe]), rate).samples
        voice[lfe] = excerpt(kept, 0, voice.shape[1])


def _pieces(samples: Samples, chunk: int, overlap: int, hop: int) -> Iterator[tuple[int, Samples]]:
    """Where each chunk begins, and a copy of it: what lies before its end may be overwritten meanwhile."""
    end, piece = 0, samples[:, :0]
    for start in _starts(samples.shape[1], chunk, overlap, hop):
        known = piece[:, piece.shape[1] - (end - start) :]
        piece = np.concatenate((known, samples[:, end : start + chunk]), axis=1)
        end = start + piece.shape[1]
        yield start, piece


def _starts(length: int, chunk: int, overlap: int, hop: int) -> list[int]:
    """Where chunks begin, in samples; the last one starts as early as possible.

    >>> _starts(length=25, chunk=10, overlap=4, hop=2)
    [0, 6, 12, 16]
    """
    last = max(0, -(-(length - chunk) // hop)) * hop
    return [*range(0, last, chunk - overlap), last]


def _at_rate(
    samples: Samples, rate: int, clip: Clip, new_rate: int, silent: list[tuple[int, int]]
) -> Samples:
    """Resample to a new rate, as long as the clip, and silent where the clip is.

    Shape: (channels, time); `samples` are changed in place if the rate stays.
    """
    if new_rate != rate:
        samples = resample_samples(samples, rate, new_rate)
    frames = clip.frames if new_rate == clip.rate else max(1, round(clip.frames * new_rate / clip.rate))
    # Resampling twice can change the length by a few samples.
    samples = excerpt(samples, 0, frames)
    _Silencer(clip, new_rate, silent).apply(samples, 0)
    return samples


class _Background:
    """The background at the rate of the clip, silent where the clip is, and put aside chunk by chunk."""

    def __init__(self, clip: Clip, rate: int, silent: list[tuple[int, int]]) -> None:
        """Args: rate: of the chunks."""
        self.file = SampleFile(clip.channels, clip.frames)
        self._stream = None if clip.rate == rate else ResampleStream(clip.channels, rate, clip.rate)
        self._silencer = _Silencer(clip, clip.rate, silent)
        self._start = self._written = 0
        self._rest = np.zeros((clip.channels, 0), np.float32)  # from `_start` on; the next chunk changes it

    def add(self, piece: Samples, start: int, overlap: int, *, is_last: bool) -> None:
        """Add the chunk that starts there, cross-faded. Shape: (channels, time)."""
        known = self._rest.shape[1]
        joined = np.empty((len(piece), start - self._start + piece.shape[1]), np.float32)
        joined[:, :known] = self._rest
        join(joined, piece, start - self._start, known, overlap)
        done = joined.shape[1] - (0 if is_last else overlap)
        made, self._rest = joined[:, :done], joined[:, done:]
        self._start += done
        if self._stream is not None:
            made = self._stream.push(made, is_last=is_last)
        self._silencer.apply(made, self._written)
        self.file.write(made, self._written)
        self._written += made.shape[1]


class _Silencer:
    """Makes a result silent where its clip is.

    Around each silence the sound fades out and in over one cell, so that it does not end in a click.
    """

    def __init__(self, clip: Clip, rate: int, silent: list[tuple[int, int]]) -> None:
        """Args: rate: of the result; silent: in samples of the clip."""
        borders = [
            (round(start * rate / clip.rate), round(stop * rate / clip.rate)) for start, stop in silent
        ]
        self._spans = np.array(borders, np.intp).reshape(-1, 2)
        self._falling = np.linspace(1, 0, round(SILENT_CELL_SECONDS * rate), dtype=np.float32)

    def apply(self, samples: Samples, start: int) -> None:
        """Change samples of the result in place, the first of which is number `start`.

        Shape: (channels, time).
        """
        fade = self._falling.size
        spans = self._spans - start
        for first, last in spans[(spans[:, 0] < samples.shape[1] + fade) & (spans[:, 1] > -fade)].tolist():
            samples[:, max(first, 0) : max(last, 0)] = 0
            if first > -start:
                _multiply(samples, first - fade, self._falling)
            _multiply(samples, last, self._falling[::-1])


def _multiply(samples: Samples, start: int, gains: Samples) -> None:
    """Multiply what lies from `start` on by gains, in place. Shape: (channels, time), (gains,)."""
    first, last = max(start, 0), min(start + gains.size, samples.shape[1])
    if first < last:
        samples[:, first:last] *= gains[first - start : last - start]


def _silent_spans(clip: Clip) -> list[tuple[int, int]]:
    """Where all channels are exactly 0, in samples, without the 16 ms next to sound."""
    cell = max(1, round(SILENT_CELL_SECONDS * clip.rate))
    starts = np.arange(0, clip.frames, cell)
    heard = np.zeros(starts.size + 2, bool)
    for channel in clip.samples:
        heard[1:-1] |= np.logical_or.reduceat(channel != 0, starts)
    silent = ~(heard[:-2] | heard[1:-1] | heard[2:])
    changes = np.flatnonzero(np.diff(np.concatenate(([False], silent, [False]))))
    borders = np.append(starts, clip.frames)[changes].tolist()
    return list(zip(borders[::2], borders[1::2], strict=True))


@dataclass(frozen=True)
class _Chunk:
    """The result of a chunk."""

    voice: Samples  # (channels, time)
    background: Samples  # (channels, time)
    f0_hz: NDArray[np.float32]  # (frames,)
    voicing: NDArray[np.float32]  # (frames,)


class _Enhancer:
    """The networks that the options ask for, on chunks of a recording of a known level."""

    def __init__(self, options: Options, level: float) -> None:
        self.options = options
        self.gain = ACTIVE_RMS / level
        background_db = options.background_db
        self._background_gain = 0.0 if background_db is None else 10 ** (background_db / 20)
        self._made = self._heard = 0.0  # power of the mixtures, the first one weighted by the strength
        self.device = pick_device()
        if options.noise_reduction:
            self.denoiser: FrontEndDenoiser | Denoiser = hub.load("denoiser", device=self.device)
        if options.completes_by == "completer":
            self.completer: Completer = hub.load("completer", device=self.device)

    @property
    def mean_strength(self) -> float:
        """Of the noise reduction, in all chunks so far."""
        return self._made / self._heard if self._heard else 0.0

    def __call__(self, samples: Samples, seed: int) -> _Chunk:
        """Shape: (channels, time) at the front end's rate."""
        import torch

        from aural.audio.spectral import istft, stft
        from aural.enhancement.features import FRONT_END, mix_to_mono

        length = samples.shape[1]
        generator = torch.Generator().manual_seed(seed)
        with inference(self.device):
            mixture = torch.tensor(samples, device=self.device) * self.gain
            spectrum = stft(mixture, FRONT_END)
            mono = mix_to_mono(spectrum)
            heard = mixture if len(mixture) == 1 else istft(mono, length, FRONT_END)
            masked = self._apply_masks(spectrum, mono, heard, generator)
            voice_spectrum, noise, strength, f0_hz, voicing = masked
            background = istft(noise, length, FRONT_END)
            # At half strength, only half the background was removed.
            left = self._background_gain * strength * noise
            if self.options.setting == "original_phase":
                voice = istft(voice_spectrum + left, length, FRONT_END)
            else:
                voice = self._revocode(istft(voice_spectrum, length, FRONT_END), voice_spectrum, generator)
                voice = voice + istft(left, length, FRONT_END)
        return _Chunk(
            voice=(voice / self.gain).cpu().numpy(),
            background=(background / self.gain).cpu().numpy(),
            f0_hz=f0_hz[0].float().cpu().numpy(),
            voicing=voicing[0].float().cpu().numpy(),
        )

    def _apply_masks(
        self, spectrum: Tensor, mono: Tensor, heard: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Both stages: spectra of voice and background (channels, bins, frames), the strength of the noise
        reduction (1, bins, frames), pitch and voicing."""
        import torch

        from aural.enhancement.adaptation import need
        from aural.enhancement.denoiser_convolutional import FrontEndDenoiser
        from aural.enhancement.features import conditioning, pitch

        @cache
        def conditions() -> Tensor:
            return conditioning(heard, mono.abs().square())

        voice, background = spectrum, spectrum * 0
        strength = torch.zeros(mono.shape, device=mono.device)
        if self.options.noise_reduction:
            takes_none = isinstance(self.denoiser, FrontEndDenoiser)
            masks = self.denoiser(mono, None if takes_none else conditions())
            denoised = masks.apply(spectrum)
            strength = strength + self.options.strength
            if self.options.adaptive:
                strength = strength * need(mono, denoised if mono is spectrum else masks.apply(mono))
            power = mono.abs().square()
            self._heard += float(power.sum())
            self._made += float((strength * power).sum())
            voice = spectrum + strength * (denoised - spectrum)
            background = masks.background(spectrum)
            f0_hz, voicing = masks.f0_hz, masks.voicing
        else:
            f0_hz, voicing = pitch(heard)
        if self.options.completes_by == "completer":
            share = self._completed_share(voice, heard.shape[-1])
            if share is not None:
                made = self.completer.complete(voice, mono, conditions(), generator)
                voice = voice + self.options.strength * share * made
        return voice, background, strength, f0_hz, voicing

    def _completed_share(self, voice: Tensor, length: int) -> Tensor | None:
        """The share of the completion that is added, (bins, 1): none in the band that was recorded.

        Args:
            voice: (channels, bins, frames), complex, of `length` samples.

        Returns:
            None if the band reaches high enough.
        """
        import torch

        from aural.audio.spectral import istft
        from aural.enhancement.features import FRONT_END

        end_hz = bandwidth(Clip(istft(voice, length, FRONT_END).cpu().numpy(), FRONT_END.rate)).hz
        low_hz, high_hz = COMPLETE_HZ
        share = min(1.0, (high_hz - end_hz) / (high_hz - low_hz))
        if share <= 0:
            return None
        hz = torch.arange(FRONT_END.bins, device=voice.device)[:, None] * (FRONT_END.rate / FRONT_END.fft)
        return share * ((hz / end_hz - COMPLETED_FROM) / (1 - COMPLETED_FROM)).clamp(0, 1)

    def _revocode(self, voice: Tensor, spectrum: Tensor, generator: torch.Generator) -> Tensor:
        """Resynthesize the voice from its mel bands. Shape: voice, result: (channels, time)."""
        from aural.audio.spectral import istft
        from aural.enhancement.features import FRONT_END, mix_to_mono

        rebuild = _griffin_lim if self.options.setting == "griffin_lim" else _vocode
        heard = voice if len(voice) == 1 else istft(mix_to_mono(spectrum), voice.shape[1], FRONT_END)
        return _to_channels(rebuild(heard, generator), spectrum)


def _to_channels(sound: Tensor, spectrum: Tensor) -> Tensor:
    """Distribute a mono sound to channels, with the levels and phases of a spectrum in each bin.

    The factors are the ratios of each channel to the mono mix, see `mix_to_mono`. They are at most the square
    root of the number of channels, since the power of the mix is the mean of the channels.

    Shape: sound: (1, time); spectrum: (channels, bins, frames), complex; result: (channels, time).
    """
    import torch

    from aural.audio.spectral import istft, stft
    from aural.enhancement.features import FRONT_END, mix_to_mono

    if len(spectrum) == 1:
        return sound
    mono = mix_to_mono(spectrum)
    factors = torch.where(mono.abs() > 0, spectrum / mono, 0)
    return istft(stft(sound, FRONT_END) * factors, sound.shape[1], FRONT_END)


def _griffin_lim(heard: Tensor, generator: torch.Generator) -> Tensor:
    """Shape: (1, time), both, at 48 kHz."""
    from aural.audio.spectral import FrontEnd, magnitude_from_mel, mel_from_magnitude, stft
    from aural.enhancement.features import FRONT_END
    from aural.vocoding import reconstruct

    front_end = FrontEnd(FRONT_END.rate, window=2048, hop=512, fft=2048, mel_bands=128)
    magnitude = magnitude_from_mel(mel_from_magnitude(stft(heard, front_end).abs(), front_end), front_end)
    return reconstruct(magnitude, "griffin_lim", heard.shape[1], front_end, generator=generator)


def _vocode(heard: Tensor, generator: torch.Generator) -> Tensor:
    """The vocoder's sound below the crossover, `heard` above it. Shape: (1, time), both, at 48 kHz."""
    import torch
    from scipy.signal import firwin, oaconvolve

    from aural.audio.spectral import DEFAULT_FRONT_END, stft
    from aural.enhancement.features import FRONT_END
    from aural.vocoding import reconstruct

    samples = heard.cpu().numpy()
    slow = torch.from_numpy(resample_samples(samples, FRONT_END.rate, DEFAULT_FRONT_END.rate))
    magnitude = stft(slow.to(heard.device), DEFAULT_FRONT_END).abs()
    made = reconstruct(magnitude, "vocoder", slow.shape[1], DEFAULT_FRONT_END, generator=generator)
    vocoded = resample_samples(made.cpu().numpy(), DEFAULT_FRONT_END.rate, FRONT_END.rate)
    # Linear phase and an odd number of taps: low and high part add up without delay.
    low_pass = firwin(CROSSOVER_TAPS, CROSSOVER_HZ, fs=FRONT_END.rate)[np.newaxis]
    difference = excerpt(vocoded, 0, samples.shape[1]) - samples
    crossed = samples + oaconvolve(difference, low_pass, mode="same", axes=1)
    return torch.from_numpy(crossed.astype(np.float32)).to(heard.device)
