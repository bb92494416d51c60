"""Trials beside the comparison: big bodies, slow streams, a soak, and a certificate of our own for TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gateway_parts.load import Load, Measured, measure
from gateway_parts.serving import Serving
from gateway_parts.turns import Figures, take_turns
from perdure.core.clock import sleep_s

_BIG = "The parcel went out on Monday and came back on Friday, since nobody had opened the door to its bearer. " * 1_950
"""Some 200,000 characters: 50,000 tokens."""
_WARM = 30_000
"""Requests before a soak: the cache in memory is full by then, and gives room for each that comes."""


@dataclass(frozen=True)
class Soaked:
    """A soak: memory before and after, and whether it became slower."""

    n: int
    before_mb: float
    after_mb: float
    measured: Measured


def big_bodies(servings: Sequence[Serving], *, quick: bool) -> Figures:
    """Questions of 50,000 tokens."""
    return take_turns(servings, quick=quick, kinds={"1 connection": Load(300, 1, padding=_BIG)})


def soak(serving: Serving, n: int) -> Soaked:
    """Requests over eight connections, after a warm-up."""
    measure(serving.where, Load(_WARM, 8), serving.pids)
    before_mb = serving.rss_mb()
    measured = measure(serving.where, Load(n, 8), serving.pids)
    return Soaked(n, before_mb, serving.rss_mb(), measured)


def slow_streams(servings: Sequence[Serving], n: int) -> dict[str, tuple[float, Measured]]:
    """Streams of 24 chunks in six seconds, all at once: the most memory while they run."""
    found = {}
    for serving in servings:
        measure(serving.where, Load(8, 8, stream=True), serving.pids)
        with ThreadPoolExecutor(1) as thread:
            work = thread.submit(measure, serving.where, Load(2 * n, n, stream=True), serving.pids)
            peak_mb = 0.0
            while not work.done():
                peak_mb = max(peak_mb, serving.rss_mb())
                sleep_s(0.1)
            found[serving.name] = (peak_mb, work.result())
    return found


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    certificate, key = folder / "ca.pem", folder / "ca-key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=perdure bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
               str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
