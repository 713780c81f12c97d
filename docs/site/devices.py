"""The picture of docs/other_chips.md: ``python docs/site/devices.py [FILE.png]`` draws it of evidence/devices.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "devices.png"
TIMES = ("20 s", "1 day", "30 days", "1 year")
BLUE, ORANGE, GREEN, GREY = "#2f6fab", "#d1772b", "#39814a", "#777777"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw accuracies against bits, variation and time; on chips, and of networks trained on devices."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    nets = results["MNIST, accuracy in percent by seed"].values()
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 6.6), layout="constrained")
    best = float(np.mean([n["as trained"] for n in nets]))
    bits = [int(b) for b in _keys(nets, "bits")]
    _line(axes[0, 0], [{k: [v] for k, v in n["bits"].items()} for n in nets], BLUE, "", bits)
    axes[0, 0].set(xlabel="bits of a weight's magnitude", title="fewer bits (BrainScaleS-2 has 6)")
    axes[0, 0].axvline(6, color=GREY, lw=0.8, ls=":")
    shares = [100 * float(v) for v in _keys(nets, "variation")]
    _line(axes[0, 1], [n["variation"] for n in nets], BLUE, "", shares)
    axes[0, 1].set(xlabel="spread of what is written, % of the greatest", title="conductances that vary")
    for name, colour in (("drift, compensated", GREEN), ("drift", ORANGE)):
        label = "scaled to the sum at 20 s" if "comp" in name else "as it is read"
        _line(axes[1, 0], [{t: n[name][t] for t in TIMES} for n in nets], colour, label, range(len(TIMES)))
    axes[1, 0].set_xticks(range(len(TIMES)), TIMES)
    axes[1, 0].set(xlabel="time since the weights were written", title="phase-change memory: writing, drift, reading")
    for ax in axes.flat[:3]:
        ax.axhline(best, color=GREY, lw=0.8)
        ax.set_ylabel("accuracy on every second\ntest image (%)")
    axes[1, 0].legend(frameon=False, loc="lower left")
    axes[0, 0].annotate("as trained", (1, best), xytext=(0, 3), textcoords="offset points", color=GREY, fontsize=8)
    _bars(axes[1, 1], nets, results["trained on Ag:a-Si, one seed"], best)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10.5)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _keys(nets: Any, name: str) -> list[str]:
    return list(next(iter(nets))[name])


def _line(ax: Any, found: list[dict[str, list[float]]], colour: str, label: str, x: Any) -> None:
    """Draw the mean of all chips as a line, and each chip as a dot."""
    values = [[v for one in found for v in one[key]] for key in found[0]]
    ax.plot(x, [np.mean(v) for v in values], color=colour, label=label)
    for at, some in zip(x, values, strict=True):
        ax.plot([at] * len(some), some, ".", color=colour, ms=4, alpha=0.5)


def _bars(ax: Any, nets: Any, pulses: dict[str, float], best: float) -> None:
    """Draw whole chips, and networks trained on devices, as bars from 50 %."""
    rows = [("as trained, floats", [n["as trained"] for n in nets], GREY)]
    for name in ("calibrated", "uncalibrated"):
        rows.append((f"six bits, {name} chip", [v for n in nets for v in n[name]], BLUE))
    rows += [(f"trained on devices, {name}", [value], GREEN) for name, value in pulses.items()]
    for k, (name, values, colour) in enumerate(rows):
        mean = float(np.mean(values))
        ax.barh(k, mean - 50, left=50, color=colour, height=0.75)
        ax.plot(values, [k] * len(values), ".", color="black", ms=4)
        ax.annotate(f"{name}: {mean:.1f}", (50.6, k), va="center", color="white", fontsize=9)
    ax.axvline(best, color=GREY, lw=0.8)
    ax.set_yticks([])
    ax.invert_yaxis()
    ax.set(xlim=(50, 100), xlabel="accuracy on every second test image (%), from 50",
           title="a whole chip; training on Ag:a-Si")  # fmt: skip


if __name__ == "__main__":
    text = (ROOT / "evidence" / "devices.json").read_text(encoding="utf-8")
    draw(json.loads(text)["results"], Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
