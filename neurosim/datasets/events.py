"""Events of a camera, or of any sensor of many channels: when, where, and of which sign."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, ResourceError, caller
from neurosim.units import TIME, Quantity, scalar

LARGEST = 1 << 31
"""Values of the frames of one recording; more is refused before anything is allocated."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Events:
    """A recording: events in the order of their times.

    Those given in another order are sorted; events of the same time stay in the order in which they are given.

    Parameters
    ----------
    t : array_like
        Times in seconds, from 0 on: [events].
    x, y : array_like of int
        Column and row, from 0 on: [events].
    p : array_like of int or bool
        Polarity: 1 where it became brighter, 0 where darker: [events]. All 0 with one polarity.
    sensor : tuple of int
        Width and height.
    polarities : int
        2, or 1 where there is but one kind of event, as from a cochlea.

    Raises
    ------
    ParameterError
        If lengths differ, or an event lies outside the sensor.
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    sensor: tuple[int, int]
    polarities: int = 2

    def __post_init__(self) -> None:
        where = caller()
        width, height = _pair(self.sensor, where)
        if self.polarities not in (1, 2):
            raise ParameterError(f"polarities must be 1 or 2, got {self.polarities!r}", where)
        t = np.asarray(self.t)
        if t.dtype.kind not in "iuf" or t.ndim != 1:
            raise ParameterError(f"t must be a row of times in seconds, got {t.dtype} of shape {list(t.shape)}", where)
        t = t.astype(np.float64, copy=False)
        wrong = np.flatnonzero(~(np.isfinite(t) & (t >= 0)))
        if len(wrong):
            raise ParameterError(f"times are finite and from 0 on: of event {wrong[0]} it is {t[wrong[0]]:g} s", where)
        found: dict[str, np.ndarray] = {"t": t}
        for name, bound, kind in (("x", width, np.int32), ("y", height, np.int32), ("p", self.polarities, np.int8)):
            column = np.asarray(getattr(self, name))
            if column.dtype.kind not in "iub" or column.shape != t.shape:
                raise ParameterError(f"{name} must be whole numbers, one for each of the {len(t)} times, got "
                                     f"{column.dtype} of shape {list(column.shape)}", where)  # fmt: skip
            wrong = np.flatnonzero((column < 0) | (column >= bound))
            if len(wrong):
                raise ParameterError(f"event {wrong[0]} has {name} = {int(column[wrong[0]])}, and with a sensor of "
                                     f"{width} x {height} and {self.polarities} polarities {name} is 0 to {bound - 1}",
                                     where)  # fmt: skip
            found[name] = column.astype(kind, copy=False)
        if np.any(np.diff(t) < 0):
            order = np.argsort(t, kind="stable")
            found = {name: column[order] for name, column in found.items()}
        for name, column in found.items():
            object.__setattr__(self, name, column)
        object.__setattr__(self, "sensor", (width, height))

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        width, height = self.sensor
        last = f" to {self.t[-1]:.6g} s" if len(self) else ""
        return f"Events({len(self)} events{last}, {width} x {height} x {self.polarities})"

    def __getitem__(self, which: Any) -> Events:
        """Return some of the events: a slice, a mask, or numbers of events."""
        if isinstance(which, (int, np.integer)):
            raise ParameterError(f"events[{which}] would be a single event: write events[{which}:{which + 1}], or "
                                 f"events.t[{which}]", caller())  # fmt: skip
        return self._with(**{name: getattr(self, name)[which] for name in ("t", "x", "y", "p")})

    @property
    def duration(self) -> float:
        """The time of the last event, in seconds; 0 if there is none."""
        return float(self.t[-1]) if len(self) else 0.0

    @property
    def neurons(self) -> int:
        """Number of neurons of :meth:`spikes`, width * height * polarities."""
        return self.sensor[0] * self.sensor[1] * self.polarities

    # -- other events ----------------------------------------------------------------------------------------------

    def between(self, start: Quantity, stop: Quantity) -> Events:
        """Return the events from a time on and before another, in times from `start` on."""
        where = caller()
        low, high = scalar(start, TIME, "start", where), scalar(stop, TIME, "stop", where)
        if not 0 <= low < high:
            raise ParameterError(f"start must be before stop and not below 0, got {start} and {stop}", where)
        first, last = np.searchsorted(self.t, [low, high])
        kept = self[first:last]
        return kept._with(t=kept.t - low)

    def from_start(self) -> Events:
        """Return the same events in times from the first of them on."""
        return self._with(t=self.t - self.t[0]) if len(self) else self

    def crop(self, left: int, top: int, width: int, height: int) -> Events:
        """Return the events of a part of the sensor, which becomes the sensor."""
        where = caller()
        whole = all(isinstance(v, (int, np.integer)) for v in (left, top, width, height))
        if not whole or min(left, top) < 0 or min(width, height) < 1 or (
            left + width > self.sensor[0] or top + height > self.sensor[1]
        ):  # fmt: skip
            raise ParameterError(f"a part of {width} x {height} pixels from column {left} and row {top} on does not "
                                 f"lie within {self.sensor[0]} x {self.sensor[1]}", where)  # fmt: skip
        inside = (self.x >= left) & (self.x < left + width) & (self.y >= top) & (self.y < top + height)
        kept = self[inside]
        return kept._with(x=kept.x - left, y=kept.y - top, sensor=(width, height))

    def flip(self, *, horizontal: bool = False, vertical: bool = False) -> Events:
        """Return the events mirrored: left and right, or top and bottom, as where rows are counted from below."""
        width, height = self.sensor
        return self._with(x=width - 1 - self.x if horizontal else self.x,
                          y=height - 1 - self.y if vertical else self.y)  # fmt: skip

    def downsample(self, factor: int) -> Events:
        """Return all events with ``factor * factor`` pixels made one."""
        if not isinstance(factor, (int, np.integer)) or isinstance(factor, bool) or factor < 1:
            raise ParameterError(f"factor must be a whole number from 1 on, got {factor!r}", caller())
        width, height = (-(-size // int(factor)) for size in self.sensor)
        return self._with(x=self.x // factor, y=self.y // factor, sensor=(width, height))

    def denoise(self, window: Quantity) -> Events:
        """Return the events that one of the eight pixels around has announced, with any polarity, within a time before.

        Noise of single pixels has no neighbours: the background activity filter [1]_. An event of the very same time
        counts if it comes before in the recording. All events are looked at, those that go too.

        References
        ----------
        .. [1] T. Delbruck, "Frame-free dynamic digital vision", Proc. Int. Symp. Secure-Life Electronics, 21 (2008).
        """
        where = caller()
        limit = scalar(window, TIME, "window", where)
        if limit <= 0:
            raise ParameterError(f"window must be above 0, got {window}", where)
        (width, height), n = self.sensor, len(self)
        if not n:
            return self
        number = np.arange(n)
        pixel = self.y.astype(np.int64) * width + self.x
        order = np.lexsort((number, pixel))
        keys = pixel[order] * n + order  # by pixel, and of each in the order of time
        kept = np.zeros(n, dtype=bool)
        for dx, dy in ((dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy):
            x, y = self.x + dx, self.y + dy
            other = y.astype(np.int64) * width + x
            at = np.searchsorted(keys, other * n + number) - 1  # the last event there before this one
            before = order[np.maximum(at, 0)]
            there = (at >= 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height) & (pixel[before] == other)
            kept |= there & (self.t - self.t[before] <= limit)
        return self[kept]

    # -- arrays ----------------------------------------------------------------------------------------------------

    def frames(self, dt: Quantity, steps: int | None = None, *, binary: bool = False) -> np.ndarray:
        """Return the number of events in each step of dt, by polarity and pixel.

        Parameters
        ----------
        dt : Quantity
            How long a step is: an event at t belongs to step floor(t / dt).
        steps : int, optional
            How many; as many as there are events for, if not given. Later events are left out.
        binary : bool
            1 where there is any event, else 0.

        Returns
        -------
        ndarray of float32
            [time, polarities, height, width].

        Raises
        ------
        ParameterError
            If no event at all falls into these steps, though there are some.
        ResourceError
            If the array would have more than 2^31 values.
        """
        where = caller()
        step = scalar(dt, TIME, "dt", where)
        if step <= 0:
            raise ParameterError(f"dt must be above 0, got {dt}", where)
        ratio = self.t / step
        # a time that is a whole number of steps up to rounding is that number
        at = np.floor(ratio + 4 * np.finfo(np.float64).eps * ratio)
        if steps is None:
            steps = int(at[-1]) + 1 if len(self) else 1
        elif not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or steps < 1:
            raise ParameterError(f"steps must be a whole number from 1 on, got {steps!r}", where)
        if steps * self.neurons > LARGEST:
            raise ResourceError(f"{steps:,} steps of {self.neurons:,} pixels and polarities are more than "
                                f"{LARGEST:,} values: take a longer dt, fewer steps, crop() or downsample()",
                                where)  # fmt: skip
        inside = at < steps
        if len(self) and not inside.any():
            raise ParameterError(f"no event lies in the first {steps} steps of {dt}: the first is at {self.t[0]:g} s. "
                                 "from_start() counts from there", where)  # fmt: skip
        (width, height), kind = self.sensor, self.p[inside].astype(np.int64)
        flat = ((at[inside].astype(np.int64) * self.polarities + kind) * height + self.y[inside]) * width
        flat += self.x[inside]
        out = np.zeros(steps * self.neurons, dtype=np.float32)
        if binary:
            out[flat] = 1
        else:
            where_any, count = np.unique(flat, return_counts=True)
            out[where_any] = count
        return out.reshape(steps, self.polarities, height, width)

    def spikes(self, dt: Quantity, steps: int | None = None) -> np.ndarray:
        """Return 1 where a pixel had events of a polarity in a step, else 0: float32 [time, neurons].

        The neuron of an event is ``(p * height + y) * width + x``. See :meth:`frames`.
        """
        found = self.frames(dt, steps, binary=True)
        return found.reshape(len(found), -1)

    def _with(self, **changed: Any) -> Events:
        return dataclasses.replace(self, **changed)


def _pair(sensor: Any, where: str | None) -> tuple[int, int]:
    """Return width and height."""
    try:
        width, height = sensor
    except (TypeError, ValueError):
        width = height = None
    if not all(
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) and 0 < v < 1 << 20 for v in (width, height)
    ):
        raise ParameterError(f"sensor is a width and a height in pixels, as in (34, 34), got {sensor!r}", where)
    return int(width), int(height)  # type: ignore[arg-type]


__all__ = ["LARGEST", "Events"]
