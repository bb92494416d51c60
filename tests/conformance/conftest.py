"""A real Redis for the adapters that need one, started on a free port of the loopback and ended with the tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from perdure.core.clock import monotonic_s, sleep_s

_START_S = 60.0


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an empty Redis that keeps nothing on disk."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("No redis-server here. On Debian and Ubuntu: sudo apt-get install redis-server")
    pytest.importorskip("redis", reason="The extra `redis` is not installed.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--loglevel", "warning"]
    server = subprocess.Popen([program, *quiet], cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL)
    try:
        _wait(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(_START_S)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline_s = monotonic_s() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except ConnectionRefusedError:
            assert server.poll() is None, "the Redis ended by itself"
            assert monotonic_s() < deadline_s, "the Redis does not answer"
            sleep_s(0.02)
        else:
            return
