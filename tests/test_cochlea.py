"""Sound to spikes: filters are the formula's, levels of sines, fibres fire by them; bad recordings are refused."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import freqz, gammatone

import neurosim as ns
from neurosim.encoding import Cochlea, Fibres, at_level, erb, erb_number, read_wav, sound
from neurosim.errors import DimensionError, NeurosimError, ParameterError, ResultFileError
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import Hz, kHz, ms, mV, second

COCHLEA = Cochlea(16 * kHz, 32)
RATE = 16_000
FINE = np.linspace(0, RATE / 2, 32_001)


def sine(frequency: float, seconds: float = 0.5, amplitude: float = 0.3) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


# -- filters --------------------------------------------------------------------------------------------------------


def test_the_erb_scale() -> None:
    """Values of Glasberg & Moore: 132.6 Hz at 1 kHz; and the number is the integral of 1/ERB."""
    assert erb(1 * kHz) == pytest.approx(132.64, abs=0.01)
    f = np.linspace(0, 8000, 200_001)
    integral = np.trapezoid(1 / erb(f * Hz), f)
    assert erb_number(8 * kHz) == pytest.approx(integral, rel=1e-8)
    assert erb_number(1 * kHz) == pytest.approx(15.6, abs=0.1)
    np.testing.assert_allclose(np.diff(erb_number(COCHLEA.centres * Hz)), erb_number(COCHLEA.centres[1] * Hz) -
                               erb_number(COCHLEA.centres[0] * Hz))  # fmt: skip
    assert COCHLEA.centres[[0, -1]] == pytest.approx([100, 0.4 * RATE])


def test_the_impulse_response_is_the_formula() -> None:
    """The recursive filter gives the samples of t^3 exp(-2 pi b t) cos(2 pi f t), also where poles are close to 1."""
    for bank in (COCHLEA, Cochlea(48 * kHz, 3, lowest=40 * Hz, highest=200 * Hz)):
        impulse = np.zeros(4000)
        impulse[0] = 1.0
        found, want = bank.filter(impulse), bank.impulse_response(4000 / bank.sample_rate)
        assert want.shape == found.shape
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-12 * np.abs(want).max())


def test_filters_peak_at_their_centres_and_have_their_bandwidths() -> None:
    power = np.abs(COCHLEA.response(FINE * Hz)) ** 2
    off = (FINE[power.argmax(0)] - COCHLEA.centres) / COCHLEA.bandwidths
    assert np.abs(off).max() < 0.05
    assert power.max(0) == pytest.approx(np.ones(32), abs=0.01)
    width = power.sum(0) * (FINE[1] - FINE[0]) / power.max(0)
    assert width / COCHLEA.bandwidths == pytest.approx(np.ones(32), rel=0.01)


@pytest.mark.parametrize("channel", [0, 10, 20, 28])
def test_filters_are_scipy_s(channel: int) -> None:
    """Its FIR filter is the same formula with b rounded to 1.019; its IIR is Slaney's."""
    centre, width = COCHLEA.centres[channel], COCHLEA.bandwidths[channel]
    taps, _ = gammatone(centre, "fir", fs=RATE, numtaps=2000)
    own = COCHLEA.impulse_response(2000 / RATE * second)[:, channel]
    np.testing.assert_allclose(taps, own, rtol=0, atol=2e-3 * np.abs(own).max())
    near = np.linspace(max(centre - width, 20), centre + width, 50)
    _, gain = freqz(*gammatone(centre, "iir", fs=RATE), near, fs=RATE)
    decibels = 20 * np.log10(np.abs(gain) / np.abs(COCHLEA.response(near * Hz)[:, channel]))
    assert np.abs(decibels).max() < 0.2


def test_response_is_the_transform_of_the_impulse_response() -> None:
    want = np.fft.rfft(COCHLEA.impulse_response(2 * second), axis=0)
    np.testing.assert_allclose(COCHLEA.response(np.fft.rfftfreq(2 * RATE, 1 / RATE) * Hz), want, atol=1e-12)


def test_energy_of_noise_is_what_the_response_passes() -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(10 * RATE).clip(-9, 9)
    passed = COCHLEA.filter(noise).var(0)
    want = 0.01 * (np.abs(COCHLEA.response(FINE * Hz)) ** 2).mean(0)
    assert passed == pytest.approx(want, rel=0.25)  # of the narrowest channel there are few independent values
    assert passed.sum() == pytest.approx(want.sum(), rel=0.03)


@pytest.mark.parametrize("channel", [3, 16, 28])
def test_a_sine_has_its_amplitude_as_envelope(channel: int) -> None:
    envelope = COCHLEA.envelope(sine(COCHLEA.centres[channel]), 4 * ms)
    late = envelope[50:]
    assert late[:, channel].mean() == pytest.approx(0.3, rel=1e-3)
    assert (late.mean(0).argmax()) == channel
    assert COCHLEA.levels(sine(COCHLEA.centres[channel]), 4 * ms)[80, channel] == pytest.approx(-10.46, abs=0.5)


def test_steps_cover_the_recording() -> None:
    """Also where a step is no whole number of samples, and the last is not full."""
    for count in (1, 15, 16, 17, 100, 1603):
        for dt in (1 * ms, 0.7 * ms, 0.0625 * ms):
            steps = len(COCHLEA.envelope(np.zeros(count), dt))
            assert steps - 1 <= count / (RATE * dt.value) <= steps + 1
            assert steps >= 1
    total = COCHLEA.envelope(sine(1000, 0.1), 1 * ms).sum() * 16
    for dt in (0.7 * ms, 3.3 * ms):  # the sum over all samples is the same however they are shared out
        edges = np.rint(np.arange(300) * dt.value * RATE)
        found = COCHLEA.envelope(sine(1000, 0.1), dt)
        assert (found * np.diff(edges)[: len(found), None]).sum() == pytest.approx(total, rel=1e-9)


# -- fibres ---------------------------------------------------------------------------------------------------------


def test_silence_gives_no_spikes() -> None:
    assert COCHLEA.levels(np.zeros(1600), 4 * ms) == pytest.approx(-200)
    assert sound(np.zeros(1600), COCHLEA, 4 * ms).sum() == 0
    assert sound(np.zeros(1600, np.int16), COCHLEA, 4 * ms).shape == (25, 128)


def test_rates_follow_the_level_between_threshold_and_saturation() -> None:
    levels = np.repeat(np.arange(-80.0, 0, 5)[None, :, None], 1000, 0).transpose(1, 0, 2)  # [levels, steps, 1]
    fibres = Fibres(thresholds=(-60, -40), span=20, onset=None, rate=200 * Hz)
    want = np.clip((levels[:, 0] - np.array([-60, -40])) / 20, 0, 1) * 200
    found = fibres.spikes(levels, 1 * ms).sum(1)
    assert np.abs(found - want).max() <= 0.5 + 1e-9
    assert np.all(np.diff(found, axis=0) >= 0)


def test_onset_fibres_tell_what_is_new() -> None:
    levels = np.full((200, 2), -200.0)
    levels[50:, 0] = -30.0
    fibres = Fibres(thresholds=(-60,), onset=15.0, past=40 * ms)
    spikes = fibres.spikes(levels, 4 * ms)
    assert spikes[:, [1, 3]].sum() == 0
    level, onset = spikes[:, 0], spikes[:, 2]
    assert level[50:].sum() == 120 and onset[50:60].sum() == 8 and onset[90:].sum() == 0
    rates = fibres.rates(levels, 4 * ms)[50:, 2]  # 30 dB above the past, and that is forgotten exponentially
    assert rates == pytest.approx(200 * np.clip(30 * np.exp(-0.1 * np.arange(150)) / 15, 0, 1))


def test_spikes_are_the_same_each_time_and_later_sound_changes_no_earlier_spike() -> None:
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, 8000)
    whole = sound(noise, COCHLEA, 2 * ms)
    np.testing.assert_array_equal(whole, sound(noise.copy(), Cochlea(16 * kHz, 32), 2 * ms))
    np.testing.assert_array_equal(whole[:100], sound(noise[:3200], COCHLEA, 2 * ms))
    assert whole.mean() > 0.05


def test_a_batch_is_its_recordings() -> None:
    some = [sine(400, 0.2), sine(2000, 0.1), np.zeros(0), (sine(900, 0.05) * 32768).astype(np.int16)]
    found = sound(some, COCHLEA, 4 * ms)
    assert found.shape == (4, 50, 128) and found.dtype == np.float32 and set(np.unique(found)) == {0, 1}
    for spikes, one in zip(found, some, strict=True):
        own = sound(one, COCHLEA, 4 * ms)
        np.testing.assert_array_equal(spikes[: len(own)], own)
        assert spikes[len(own) :].sum() == 0
    np.testing.assert_array_equal(sound(some, COCHLEA, 4 * ms, steps=20), found[:, :20])
    assert sound(some, COCHLEA, 4 * ms, steps=70)[:, 50:].sum() == 0
    assert sound(sine(400, 0.2), COCHLEA, 4 * ms, fibres=Fibres(onset=None)).shape == (50, 96)


def test_louder_is_more_spikes_of_more_fibres() -> None:
    found = [sound(sine(1000, 0.3, a), COCHLEA, 4 * ms) for a in (0.003, 0.03, 0.3, 1.0)]
    assert np.all(np.diff([f.sum() for f in found]) > 0)
    assert np.all(np.diff([(f.sum(0) > 0).sum() for f in found]) > 0)


def test_what_it_gives_drives_a_network() -> None:
    spikes = sound(sine(1000, 0.2), COCHLEA, 1 * ms)
    steps, ids = np.nonzero(spikes)
    net = ns.Network("ear", dt=1 * ms)
    nerve = net.population("nerve", spikes.shape[1], SpikeSource(steps * ms, ids))
    cells = net.population("cells", 1, LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=5 * mV, receptors={"s": DeltaCurrent}))
    net.connect(nerve, cells, weight=1 * mV, delay=1 * ms)
    net.record(nerve + cells, "spikes")
    result = net.run(200 * ms, backend="reference")
    assert result.spikes["nerve"].count == spikes.sum() and result.spikes["cells"].count > 20


# -- recordings -----------------------------------------------------------------------------------------------------


def test_extremes() -> None:
    assert sound(np.zeros(0), COCHLEA, 4 * ms).shape == (0, 128)
    assert sound(np.array([0.5]), COCHLEA, 4 * ms).shape == (1, 128)
    square = np.where(np.arange(3200) // 8 % 2, -32768, 32767).astype(np.int16)  # clipped as hard as can be
    levels = COCHLEA.levels(square, 4 * ms)
    assert np.isfinite(levels).all() and 0 < levels.max() < 20 * np.log10(4 / np.pi) + 0.5  # its first harmonic
    assert COCHLEA.levels(np.full(1600, 1e-300), 4 * ms).max() == -200
    assert Cochlea(8 * kHz, 1, lowest=1 * kHz, highest=1 * kHz).centres == pytest.approx([1000])


def test_levels_are_brought_to_each_other() -> None:
    for amplitude in (0.001, 0.5):
        out = at_level(sine(440, 0.5, amplitude), -20)
        assert 10 * np.log10(2 * np.mean(out**2)) == pytest.approx(-20)
    assert at_level(np.zeros(5)).sum() == 0 and len(at_level(np.zeros(0))) == 0
    with pytest.raises(ParameterError, match="above 1: take a level of at most -"):
        at_level(np.eye(1, 1000)[0], -3)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "float32", "float64"])
def test_wav_files_are_read(tmp_path: Path, kind: str) -> None:
    tone = sine(500, 0.1)
    scale, zero = {"uint8": (127, 128), "int16": (32767, 0), "int32": (2**31 - 1, 0)}.get(kind, (1, 0))
    wavfile.write(tmp_path / "a.wav", RATE, (tone * scale + zero).astype(kind))
    found = read_wav(tmp_path / "a.wav")
    assert found.sample_rate == RATE * Hz
    assert found.sound == pytest.approx(tone, abs=1.5 / scale if 1 < scale < 2**20 else 1e-7)
    wavfile.write(tmp_path / "two.wav", RATE, np.stack([tone, tone], 1).astype(np.float32))
    with pytest.raises(ParameterError, match=r"one channel, got shape \[1600, 2\]: of two, take one"):
        sound(read_wav(tmp_path / "two.wav").sound, COCHLEA, 4 * ms)


def test_wav_files_of_24_bits_are_read(tmp_path: Path) -> None:
    values = np.array([0, 1, -1, 2**22, 2**23 - 1, -(2**23)])
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(3), file.setframerate(44_100)
        file.writeframes(b"".join(int(v).to_bytes(3, "little", signed=True) for v in values))
    found = read_wav(str(tmp_path / "a.wav"))
    np.testing.assert_array_equal(found.sound, values / 2**23)
    assert found.sample_rate == 44.1 * kHz


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="no file"):
        read_wav(tmp_path / "missing.wav")
    good = tmp_path / "good.wav"
    wavfile.write(good, RATE, np.zeros(100, np.int16))
    contents = {"text": b"no sound at all", "empty": b"", "cut": good.read_bytes()[:30], "mp3": b"ID3" + bytes(200)}
    for name, content in contents.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(content)
        with pytest.raises(ResultFileError, match="no uncompressed WAV file"):
            read_wav(path)
    with pytest.raises(ResultFileError, match="cannot be read"):
        read_wav(tmp_path)


@pytest.mark.parametrize(
    ("recording", "says"),
    [
        (np.array([0.1, np.nan]), "finite, got nan at sample 1"),
        (np.array([np.inf]), "finite, got inf at sample 0"),
        (np.array([0.0, 300.0]), "must lie in -1 … 1, got 300: divide it"),
        (np.zeros((10, 2)), "one channel, got shape"),
        (np.zeros(10, np.int32), "int16; got int32"),
        (np.zeros(10, np.uint8), "int16; got uint8"),
        (np.zeros((2, 2, 2)), "one row of numbers"),
        (0.5, "one row of numbers"),
        ("a.wav", "one row of numbers"),
        (None, "one row of numbers"),
        (np.zeros(3, complex), "one row of numbers"),
        (np.zeros(3, bool), "one row of numbers"),
        ([np.zeros(4), np.array([2.0])], "recording 1 in floating point must lie in"),
        ([np.zeros(4), np.zeros((4, 2))], "recording 1 must have one channel"),
        ([], "no recordings"),
    ],
)
def test_recordings_that_are_refused(recording: Any, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        sound(recording, COCHLEA, 4 * ms)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Cochlea(8000), "sample_rate must be a frequency"),
        (lambda: Cochlea(0 * Hz), "above 0 Hz"),
        (lambda: Cochlea(8 * kHz, 0), "at least 1"),
        (lambda: Cochlea(8 * kHz, 2.5), "at least 1"),
        (lambda: Cochlea(8 * kHz, True), "at least 1"),
        (lambda: Cochlea(8 * kHz, highest=5 * kHz), "half the sample rate, 4000 Hz"),
        (lambda: Cochlea(8 * kHz, lowest=3 * kHz, highest=2 * kHz), "the lowest first"),
        (lambda: Cochlea(8 * kHz, lowest=0 * Hz), "the lowest first"),
        (lambda: Cochlea(8 * kHz, smoothing=0 * ms), "smoothing must be above 0 s"),
        (lambda: Cochlea(8 * kHz, lowest=[100, 200] * Hz), "one value"),
        (lambda: COCHLEA.levels(np.zeros(10), 1), "dt must be a time"),
        (lambda: COCHLEA.levels(np.zeros(10), 0.01 * ms), "take a larger dt"),
        (lambda: COCHLEA.levels(np.zeros(10), -1 * ms), "take a larger dt"),
        (lambda: COCHLEA.response(3), "must be a frequency"),
        (lambda: erb(-5 * Hz), "must not be negative"),
        (lambda: Fibres(thresholds=-60), "list of finite levels"),
        (lambda: Fibres(thresholds=(np.nan,)), "list of finite levels"),
        (lambda: Fibres(thresholds=("x",)), "list of finite levels"),
        (lambda: Fibres(thresholds=(), onset=None), "no fibres"),
        (lambda: Fibres(span=0), "span must be a number of dB above 0"),
        (lambda: Fibres(span=None), "span must be a number of dB above 0"),
        (lambda: Fibres(onset=-1), "onset must be"),
        (lambda: Fibres(rate=0 * Hz), "above 0"),
        (lambda: Fibres(past=1 * Hz), "past must be a time"),
        (lambda: Fibres().spikes(np.zeros((5, 2)), 10 * ms), "at most 100 Hz"),
        (lambda: Fibres().spikes(np.zeros(5), 1 * ms), r"got shape \[5\]"),
        (lambda: Fibres().spikes(np.full((5, 2), np.nan), 1 * ms), "silence has -200 dB"),
        (lambda: Fibres().rates(np.zeros((5, 2)), 0 * ms), "dt must be above 0"),
        (lambda: sound(np.zeros(9), COCHLEA, 4 * ms, steps=-1), "at least 0"),
        (lambda: sound(np.zeros(9), COCHLEA, 4 * ms, steps=2.0), "at least 0"),
        (lambda: sound(np.zeros(9), COCHLEA, 4 * ms, steps=2**40), "give fewer at once"),
        (lambda: at_level(np.zeros(9), None), "number of dB"),
    ],
)  # fmt: skip
def test_values_that_are_refused(made: Any, says: str) -> None:
    with pytest.raises((ParameterError, DimensionError), match=says):
        made()


def test_the_error_says_where(tmp_path: Path) -> None:
    with pytest.raises(NeurosimError) as found:
        sound(np.array([np.nan]), COCHLEA, 4 * ms)
    assert "test_cochlea.py:" in str(found.value)
