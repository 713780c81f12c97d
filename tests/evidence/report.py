"""Reports in a real browser: five networks at two widths, light and dark, and how long a million spikes take to open.

Run with ``scripts/evidence report``. A time is that from the beginning of the navigation to the page that is drawn, the
median of five, in a headless Chromium that has nothing else to do.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SOURCES = ["neurosim/report/*", "tests/browser_kit.py", "tests/evidence/report.py"]

MOST_BYTES, MOST_MS, REPEATS = 5_000_000, 1000.0, 5
NETWORKS = {"cuba": 1.0, "brunel": 0.3, "potjans_diesmann": 0.3, "dendritic": 0.3, "c_elegans": 2.0}
"""Networks of the library -> how long each runs, in seconds."""
SMALL = {"potjans_diesmann": {"scale": 0.05}, "dendritic": {"n": 200}}

WATCH = """
const drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => { window.drawnAt = performance.now(); }));
new MutationObserver(() => { if (document.documentElement?.dataset.drawn === 'yes' && !window.drawnAt) drawn(); })
  .observe(document, {attributes: true, subtree: true, attributeFilter: ['data-drawn']});
"""


def made(name: str) -> Any:
    """The result of a network of the library, with states where it has a potential."""
    import neurosim as ns
    from neurosim.units import ms, second

    net = ns.network(name)(**SMALL.get(name, {}))
    pop = next(iter(net.populations.values()))
    recorded = {probe.variable for probe in net.probes}
    for variable in [v for v in pop.cell.variables if v.startswith(("v", "V")) and v not in recorded][:1]:
        net.record(pop[:3], variable, every=1 * ms)
    return net.run(NETWORKS[name] * second)


def million() -> Any:
    """A million spikes of 4,000 Poisson neurons in 45 s."""
    from neurosim.recording import Provenance, RunResult, Spikes

    rng, steps, count, n = np.random.default_rng(1), 450_000, 1_000_000, 4000
    at = np.unique(rng.integers(0, steps * n, count))
    provenance = Provenance(network="a million spikes", backend="none", seed=1, dt=1e-4, n_steps=steps,
                            duration_s=steps * 1e-4)  # fmt: skip
    return RunResult({"p": n}, provenance, {"p": Spikes(at // n, at % n, n, 1e-4, steps)})


def looked_at(page: Any, file: Path) -> dict[str, Any]:
    """Open a report at both widths, light and dark: errors, whether anything sticks out, and the time of each."""
    views = {}
    for width in (1440, 390):
        for dark in (False, True):
            page.errors.clear()
            page.open(file, width, dark, touch=width < 500)
            views[f"{width} {'dark' if dark else 'light'}"] = {
                "drawn_ms": round(float(page.js("window.drawnAt")), 1),
                "sticks_out_px": int(page.js("document.documentElement.scrollWidth")) - width,
                "errors": list(page.errors),
            }
    return {"bytes": file.stat().st_size, "views": views}


def pages(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a browser shows of some results, by name."""
    from browser_kit import Page

    from neurosim.report import run as report

    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Page(Path(folder)) as page:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        for name, result in make().items():
            file = Path(folder) / f"{name}.html"
            report.write(result, file)
            out[name] = looked_at(page, file)
            if name == "million":
                times = []
                for _ in range(REPEATS):
                    page.open(file)
                    times.append(round(float(page.js("window.drawnAt")), 1))
                out[name] |= {"opens_ms": times, "median_ms": float(np.median(times))}
    return out


def run(log: Any) -> dict[str, Any]:
    """Every page is whole, below 5 MB and free of errors; that of a million spikes opens within a second."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # browser_kit
    found = {name: log.step(name, lambda name=name: pages(lambda: {name: made(name)})[name]) for name in NETWORKS}
    found["million"] = log.step("million", lambda: pages(lambda: {"million": million()})["million"])
    for name, page in found.items():
        log(f"{name}: {json.dumps(page)}")
    whole = all(page["bytes"] < MOST_BYTES and not view["errors"] and view["sticks_out_px"] <= 0
                for page in found.values() for view in page["views"].values())  # fmt: skip
    return {"pages": found, "passed": whole and found["million"]["median_ms"] < MOST_MS}
