"""Address-event files: the 40-bit events of ATIS recordings (N-MNIST), and jAER's and cAER's AEDAT.

Every reader returns times in microseconds, whole numbers, and columns, rows and polarities, in the order of the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurosim.errors import BackendMissingError, DataFileError

CAMERAS = {"DVS128": (128, 128), "DAVIS128": (128, 128), "DAVIS208": (208, 192), "DAVIS240": (240, 180),
           "DAVIS346": (346, 260), "DAVIS640": (640, 480), "DVXPLORER": (640, 480)}  # fmt: skip
"""Name of a camera -> width and height of its sensor."""

OVERFLOW_ROW, OVERFLOW = 240, 1 << 13
END, JAER_END = b"#!END-HEADER", b"#End Of ASCII Header"
_TEXT = re.compile(rb"[^\x00-\x08\x0b\x0c\x0e-\x1f]*\n")
HEADER_LIMIT = 1 << 20
POLARITY, PACKET_HEAD = 1, 28


class Raw(NamedTuple):
    """What a file holds: µs as int64 [events], and what is known of the sensor."""

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    sensor: tuple[int, int] | None


def read_atis(path: Path, where: str | None) -> Raw:
    """Read 40-bit events: 8 bits x, 8 bits y, 1 bit polarity, 23 bits of microseconds, all big-endian.

    An event with y = 240 is none: it says that the clock, counting 2^13 microseconds, began anew, and all times from
    there on are 2^13 later (the data sets' own description: garrickorchard.com, N-MNIST and N-Caltech101).
    """
    size = path.stat().st_size
    if size % 5:
        raise DataFileError(f"'{path}' is truncated, or not a file of 40-bit events: {size} bytes are no whole number "
                            f"of events, {size % 5} are left over at byte {size - size % 5}", where)  # fmt: skip
    rows = np.fromfile(path, dtype=np.uint8).reshape(-1, 5)
    t = ((rows[:, 2] & 0x7F).astype(np.int64) << 16) | (rows[:, 3].astype(np.int64) << 8) | rows[:, 4]
    again = rows[:, 1] == OVERFLOW_ROW
    t += OVERFLOW * np.cumsum(again)
    kept = ~again
    return Raw(t[kept], rows[kept, 0], rows[kept, 1], rows[kept, 2] >> 7, None)


def read_aedat(path: Path, camera: str | None, where: str | None) -> Raw:
    """Read AEDAT 2.0, 3.1 or, by the library ``aedat``, 4.0; times are from the first event on."""
    with open(path, "rb") as file:
        version = re.match(rb"#!AER-DAT(\d+\.\d+)", file.read(16))
    number = version[1].decode() if version else "?"
    if number == "4.0":
        raw = _read_4(path, where)
    elif number in ("2.0", "3.1"):
        lines, begin = _header(path, number, where)
        known = camera or _camera(lines)
        raw = (_read_2 if number == "2.0" else _read_3)(path, begin, known, where)
    else:
        raise DataFileError(f"'{path}' does not begin as AEDAT 2.0, 3.1 or 4.0 does, with '#!AER-DAT2.0'", where)
    return raw._replace(t=raw.t - raw.t.min()) if len(raw.t) else raw


def camera_size(camera: str, where: str | None) -> tuple[int, int]:
    """Return the size of a camera's sensor."""
    name = camera.upper()
    for known, size in CAMERAS.items():
        if name.startswith(known):
            return size
    raise DataFileError(f"no camera '{camera}' is known; known: {', '.join(CAMERAS)}", where)


def _header(path: Path, version: str, where: str | None) -> tuple[list[bytes], int]:
    """Return the lines of text at the beginning, and where the data begin."""
    lines, begin = [], 0
    with open(path, "rb") as file:
        while begin < HEADER_LIMIT:
            line = file.readline(HEADER_LIMIT)
            if not line.startswith(b"#") or not _TEXT.fullmatch(line):  # an address may begin with the byte of "#", too
                if version == "3.1":
                    raise DataFileError(f"'{path}' has no '{END.decode()}' at the end of its header (byte {begin})",
                                        where)  # fmt: skip
                return lines, begin
            lines.append(line)
            begin += len(line)
            if line.startswith((END, JAER_END)):
                return lines, begin
    raise DataFileError(f"'{path}' is damaged: its header does not end within {HEADER_LIMIT:,} bytes", where)


def _camera(lines: list[bytes]) -> str | None:
    """Return the camera that a header names: in "# AEChip: …Davis346blue" or "#Source 1: DVS128"."""
    for line in lines:
        text = line.decode("latin-1")
        if "AECHIP" in text.upper() or text.startswith("#Source"):
            for known in CAMERAS:
                if known in text.upper():
                    return known
    return None


def _read_2(path: Path, begin: int, camera: str | None, where: str | None) -> Raw:
    """Read pairs of an address and microseconds, 32 bits each, big-endian; frames, motion and triggers are left out.

    DVS128: bit 0 is 0 for ON, x bits 1 to 7, y bits 8 to 14, bit 15 a trigger. DAVIS: bit 31 a frame or motion, bit 10
    a trigger, bit 11 is 1 for ON, x bits 12 to 21, y bits 22 to 30. (iniVation, "AEDAT file formats"; its AedatTools.)
    """
    if camera is None:
        raise DataFileError(f"'{path}' does not name its camera, and AEDAT 2.0 has other addresses for each: give "
                            "camera='DVS128' or camera='DAVIS240', …", where)  # fmt: skip
    size = path.stat().st_size - begin
    if size % 8:
        raise DataFileError(f"'{path}' is truncated: {size % 8} bytes are left over after the last event of 8, at byte "
                            f"{begin + size - size % 8}", where)  # fmt: skip
    sensor = camera_size(camera, where)
    pairs = np.fromfile(path, dtype=">u4", offset=begin).reshape(-1, 2)
    address, t = pairs[:, 0].astype(np.uint32), _unwrapped(pairs[:, 1].astype(np.int64))
    if camera.upper().startswith("DVS128"):
        kept = (address & 0x8000) == 0
        a = address[kept]
        return Raw(t[kept], (a >> 1) & 0x7F, (a >> 8) & 0x7F, 1 - (a & 1), sensor)
    kept = (address & 0x8000_0400) == 0
    a = address[kept]
    return Raw(t[kept], (a >> 12) & 0x3FF, (a >> 22) & 0x1FF, (a >> 11) & 1, sensor)


def _unwrapped(t: np.ndarray) -> np.ndarray:
    """Return times of a clock of 32 bits that goes on where it began anew."""
    again = np.diff(t, prepend=t[:1]) < -(1 << 31)
    return t + (np.cumsum(again) << 32)


def _read_3(path: Path, begin: int, camera: str | None, where: str | None) -> Raw:
    """Read packets of events; those of another kind than polarity, and invalid events, are left out.

    A packet's head: kind, source (16 bits each), size of an event, offset of its time, overflows of the clock, room,
    number, valid (32 bits each), little-endian. An event of polarity: valid bit 0, ON bit 1, y bits 2 to 16, x bits 17
    to 31; then 31 bits of microseconds. (iniVation, "AEDAT file formats".)
    """
    end, at, words, times = path.stat().st_size, begin, [], []
    with open(path, "rb") as file:
        file.seek(begin)
        while at < end:
            head = file.read(PACKET_HEAD)
            if len(head) < PACKET_HEAD:
                raise DataFileError(f"'{path}' is truncated: the head of a packet at byte {at} has {len(head)} of "
                                    f"{PACKET_HEAD} bytes", where)  # fmt: skip
            kind = int.from_bytes(head[:2], "little")
            size, offset, overflow, _, number, _ = np.frombuffer(head, "<u4", offset=4).tolist()
            length = size * number
            if at + PACKET_HEAD + length > end:
                raise DataFileError(f"'{path}' is truncated or damaged: the packet at byte {at} claims {number:,} "
                                    f"events of {size} bytes, and {end - at - PACKET_HEAD:,} bytes are left",
                                    where)  # fmt: skip
            if kind & 0x7FFF != POLARITY:
                file.seek(length, 1)
            elif kind != POLARITY:
                raise DataFileError(f"'{path}' is compressed (packet at byte {at}): only the format RAW is read", where)
            elif (size, offset) != (8, 4):
                raise DataFileError(f"'{path}' is damaged: the packet at byte {at} has polarity events of {size} bytes "
                                    f"with the time at byte {offset}, not of 8 with it at 4", where)  # fmt: skip
            else:
                rows = np.frombuffer(file.read(length), "<u4").reshape(-1, 2)
                words.append(rows[:, 0])
                times.append(rows[:, 1].astype(np.int64) + (overflow << 31))
            at += PACKET_HEAD + length
    word = np.concatenate([np.zeros(0, np.uint32), *words])
    t = np.concatenate([np.zeros(0, np.int64), *times])
    kept = (word & 1) == 1
    w = word[kept]
    sensor = camera_size(camera, where) if camera is not None else None
    return Raw(t[kept], w >> 17, (w >> 2) & 0x7FFF, (w >> 1) & 1, sensor)


def _read_4(path: Path, where: str | None) -> Raw:
    """Read the events of the first stream that has any, by the library ``aedat``."""
    try:
        import aedat  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise BackendMissingError(f"'{path}' is AEDAT 4, compressed packets of FlatBuffers, which the library aedat "
                                  "reads: pip install aedat", where) from None  # fmt: skip
    try:
        decoder = aedat.Decoder(str(path))
        streams = decoder.id_to_stream()
        chosen = next((key for key in sorted(streams) if streams[key]["type"] == "events"), None)
        if chosen is None:
            others = ", ".join(sorted(s["type"] for s in streams.values())) or "none"
            raise DataFileError(f"'{path}' has no stream of events, only {others}", where)
        found = [packet["events"] for packet in decoder if packet["stream_id"] == chosen and "events" in packet]
    except DataFileError:
        raise
    except BaseException as error:  # Rust's panic is no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataFileError(f"'{path}' is damaged or truncated: {said}", where) from None
    size = int(streams[chosen]["width"]), int(streams[chosen]["height"])
    t, x, y, p = (np.concatenate([np.zeros(0, np.int64), *(packet[name].astype(np.int64) for packet in found)])
                  for name in ("t", "x", "y", "on"))  # fmt: skip
    return Raw(t, x, y, p, size)


__all__ = ["CAMERAS", "Raw", "camera_size", "read_aedat", "read_atis"]
