"""Stimuli: a rhythm of 8 Hz is found back in the spikes, noise alone makes none, and a step raises the rate.

Two populations get noise of 5 mV around 17 mV, 3 mV below the threshold; one of them a sinusoid of 3 mV besides. A
third gets Poisson spikes, and 5 mV more from 500 ms on. The result: the first one's population rate has its largest
power at 8 Hz, more than 20 times that of the second there, and the third fires more than 5 times as often after the
step.
"""

import neurosim as ns
from neurosim.models import LIF, OUNoise, PoissonInput, SineCurrent, StepCurrent
from neurosim.models.synapses import DeltaCurrent
from neurosim.units import Hz, Quantity, ms, mV, second


def main(duration: Quantity = 2 * second, backend: str = "native") -> dict[str, float]:
    """Return the frequency of the peak, the two powers at 8 Hz, and the rates before and after a step."""
    net = ns.Network("stimuli", dt=0.1 * ms, seed=3)
    cell = LIF(receptors={"syn": DeltaCurrent}, init={"v": ns.uniform(-60 * mV, -50 * mV)})
    rhythm = net.population("rhythm", 200, cell)
    noise = net.population("noise", 200, cell)
    step = net.population("step", 200, cell)
    net.stimulate([rhythm, noise], OUNoise(17 * mV, 5 * mV, tau=10 * ms))
    net.stimulate(rhythm, SineCurrent(3 * mV, 8 * Hz))
    net.stimulate(noise, SineCurrent(0 * mV, 8 * Hz))  # the same program, so that one less is compiled
    net.stimulate(step, PoissonInput(1500 * Hz, weight=0.5 * mV))  # a mean of 15 mV
    net.stimulate(step, StepCurrent([0, 500] * ms, [0, 5] * mV))
    net.record([rhythm, noise, step], "spikes")
    result = net.run(duration, backend=backend)

    spectra = [ns.analysis.power_spectrum(ns.analysis.population_rate(result.spikes[k], 5 * ms), segment=1 * second)
               for k in ("rhythm", "noise")]  # fmt: skip
    peak = ns.analysis.spectral_peak(spectra[0], low=2.0, high=50.0)
    at = abs(spectra[0].freqs - 8.0).argmin()
    return {
        "peak_hz": peak.freq,
        "power_with_rhythm": float(spectra[0].psd[at]),
        "power_without": float(spectra[1].psd[at]),
        "before_step_hz": result.rates("step", stop=500 * ms),
        "after_step_hz": result.rates("step", start=500 * ms),
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:18} {value:.2f}")
