"""Published networks, at length: rates, irregularity, synchrony and spectra beside the published values.

Run with ``scripts/evidence science``; the bands are those that the project holds itself to.
"""

from __future__ import annotations

from typing import Any

from neurosim import analysis
from neurosim.models.networks import brunel, coba, cuba, potjans_diesmann
from neurosim.units import ms, mV, second

SOURCES = ["neurosim/ir/*.py", "neurosim/ir/rules/*.py", "neurosim/lang/*.py", "neurosim/passes/*.py",
           "backends/native/*.py", "backends/compiled/*.py", "models/**/*.py", "neurosim/analysis/spiketrains.py",
           "neurosim/analysis/window.py", "tests/evidence/science.py"]  # fmt: skip

# Romaro et al., Neural Comput. 33:1993 (2021): table A.1 (10 % scale), A.3 (CV, full scale)
RATES_10 = {"L23E": 0.75, "L23I": 3.28, "L4E": 4.76, "L4I": 6.20, "L5E": 6.55, "L5I": 8.97, "L6E": 1.10, "L6I": 8.06}
RATES_FULL = {"L23E": 0.90, "L23I": 2.80, "L4E": 4.39, "L4I": 5.70, "L5E": 6.80, "L5I": 8.22, "L6E": 1.14, "L6I": 7.60}
CV_FULL = {"L23E": 0.938, "L23I": 0.916, "L4E": 0.891, "L4I": 0.873,
           "L5E": 0.847, "L5I": 0.809, "L6E": 0.924, "L6I": 0.819}  # fmt: skip


def microcircuit(scale: float, seconds: float, rates: dict[str, float]) -> dict[str, Any]:
    """Rates within 20 % (L5E 45 %), CV within 0.1, after a transient of 1 s."""
    result = potjans_diesmann(scale=scale).run(seconds * second)
    rows = {}
    for name, published in rates.items():
        spikes = result.spikes[name]
        rate = analysis.rate(spikes, start=1 * second)
        cv = analysis.cv_isi(spikes, start=1 * second)
        rows[name] = {"rate_hz": rate, "published_hz": published, "cv": cv, "published_cv": CV_FULL[name],
                      "synchrony": analysis.synchrony(spikes, skip=1 * second)}  # fmt: skip
    rate_ok = all(abs(r["rate_hz"] / r["published_hz"] - 1) <= (0.45 if n == "L5E" else 0.20) for n, r in rows.items())
    cv_ok = all(abs(r["cv"] - r["published_cv"]) <= 0.1 for r in rows.values())
    p = result.provenance
    return {"scale": scale, "seconds": seconds, "synapses": result.edges, "populations": rows, "rates_within": rate_ok,
            "cv_within": cv_ok, "build_s": p.wall_build_s, "simulate_s": p.wall_simulate_s}  # fmt: skip


def regime(name: str) -> dict[str, Any]:
    """One of Brunel's regimes, reset at 10 mV as his: rate, CV, synchrony of 0.5 ms counts, peak of the spectrum."""
    result = brunel(regime=name, v_reset=10 * mV).run(3 * second)
    spikes = result.spikes["exc"]
    trace = analysis.population_rate(spikes, bin=0.5 * ms, start=500 * ms)
    peak = analysis.spectral_peak(analysis.power_spectrum(trace, segment=250 * ms), 5.0, 1000.0)
    return {"rate_hz": analysis.rate(spikes, start=500 * ms), "cv": analysis.cv_isi(spikes, start=500 * ms),
            "synchrony": analysis.synchrony(spikes, bin=0.5 * ms, skip=500 * ms), "peak_hz": peak.freq,
            "prominence": peak.prominence}  # fmt: skip


def run(log: Any) -> dict[str, Any]:
    """All published networks."""
    out: dict[str, Any] = {}

    def vogels_abbott() -> dict[str, Any]:
        rates = [cuba(seed=s).run(1 * second).rates("exc", start=100 * ms) for s in (1, 2, 3)]
        conductance = coba(seed=1).run(1 * second)
        return {"cuba_hz": rates, "coba_hz": conductance.rates("exc"), "passed": all(5.0 <= r <= 6.0 for r in rates)}

    def asynchronous() -> dict[str, Any]:
        result = brunel().run(1 * second)
        rates = {p: analysis.rate(result.spikes[p]) for p in ("exc", "inh")}
        return {"rates_hz": rates, "passed": all(30.0 <= r <= 34.0 for r in rates.values())}

    def regimes() -> dict[str, Any]:
        found = {name: regime(name) for name in ("SR", "SI_fast", "AI", "SI_slow")}
        ok = (
            found["SR"]["cv"] < 0.3 and found["SR"]["synchrony"] > 10 * found["AI"]["synchrony"]
            and found["AI"]["cv"] > 0.3 and found["SI_fast"]["synchrony"] > 2 * found["AI"]["synchrony"]
            and 100 <= found["SI_fast"]["peak_hz"] <= 250 and 10 <= found["SI_slow"]["peak_hz"] <= 60
            and found["SI_slow"]["rate_hz"] < 10
        )  # fmt: skip
        return {**found, "passed": bool(ok)}

    for name, step in (("vogels_abbott", vogels_abbott), ("brunel", asynchronous), ("brunel_regimes", regimes)):
        out[name] = log.step(name, step)
        log(f"{name}: {'ok' if out[name]['passed'] else 'FAILED'} {out[name]}")
    for scale, seconds, rates in ((0.1, 60.0, RATES_10), (0.5, 25.0, RATES_FULL)):
        name = f"microcircuit_{scale:g}"
        out[name] = log.step(name, lambda s=scale, t=seconds, r=rates: microcircuit(s, t, r))
        log(f"{name}: rates {out[name]['rates_within']}, CV {out[name]['cv_within']}")
        for pop, row in out[name]["populations"].items():
            log(f"    {pop}: {row}")
    verdicts = ("passed", "rates_within", "cv_within")
    out["passed"] = all(v.get(key, True) for v in out.values() for key in verdicts)
    return out
