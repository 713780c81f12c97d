"""How far a run is: a bar with the time to go and the real-time factor on a terminal, a few lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

_QUIET = 10.0
"""Seconds between two lines where there is no terminal."""


def clock(seconds: float) -> str:
    """Return a duration as one reads it: 4.2 s, 48 s, 3:05, 1:02:10."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Bar:
    """Follows one run on stderr; called as :data:`neurosim.run.Progress` says, and closed at the end.

    Parameters
    ----------
    dt : float
        Duration of a step in seconds.
    """

    def __init__(self, dt: float) -> None:
        from rich.console import Console

        self.dt = dt
        self.console = Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal
        self.bar: Any = None
        self.task: Any = None
        self.said, self.quarter = time.perf_counter(), 0

    def __call__(self, stage: str, done: int, total: int, wall: float) -> None:
        whole = f"{total * self.dt:.6g} s"
        if not self.live:
            quarter = 4 * done // max(1, total)
            if stage == "build":
                self.said = time.perf_counter()
            elif self.quarter < quarter < 4 and time.perf_counter() - self.said >= _QUIET:
                self.said, self.quarter = time.perf_counter(), quarter
                self.console.print(f"simulated {done * self.dt:.6g} of {whole} in {clock(wall)}, "
                                   f"{clock(wall / done * (total - done))} to go")  # fmt: skip
            return
        if self.bar is None:
            self.bar = self._start()
        if stage == "build":
            if done < total or total == 0:
                self.task = self.bar.add_task("building", total=None, note="")
            else:
                self.bar.remove_task(self.task)
                self.task = self.bar.add_task("simulating", total=total, note="")
            return
        a_step = wall / max(done, 1)
        note = f"{done * self.dt:.2f} of {whole}  RTF {a_step / self.dt:.3g}  {clock(a_step * (total - done))} left"
        self.bar.update(self.task, completed=done, note=note)

    def _start(self) -> Any:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24)
        note = TextColumn("{task.fields[note]}", style="dim")
        bar = Progress(*columns, note, console=self.console, transient=True)
        bar.start()
        return bar

    def close(self) -> None:
        """Take the bar off the screen."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
