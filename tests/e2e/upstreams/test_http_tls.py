"""Upstreams that are reached by TLS, by IPv6, or not at all."""

from __future__ import annotations

import asyncio
import ssl
import subprocess

import pytest

from perdure.core.errors import UpstreamError
from perdure.serve.gateway.upstream.http import HttpClient
from perdure.serve.gateway.upstream.tls import tls_context


def test_a_port_where_nobody_listens_cannot_be_reached(run, world, ask):
    async def work():
        async with world.Server(world.steady) as server:
            url = server.url
        client = HttpClient(url)
        with pytest.raises(UpstreamError, match="cannot be reached") as caught:
            await ask(client)
        assert type(caught.value) is UpstreamError
        assert client.n_open == 0

    run(work())


def test_an_address_of_ipv6_is_called(run, world, told):
    async def work():
        try:
            async with world.Server(world.steady, host="::1") as server:
                client = HttpClient(server.url)
                assert await told(client) == b"ok"
                assert b"host: [::1]:%d\r\n" % server.port in server.wires[0].requests[0]
                await client.close()
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")

    run(work())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that has signed itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = "subjectAltName=DNS:localhost"
    options = ("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    words = ("req", "-x509", "-newkey", "ec", *options)
    subprocess.run(["openssl", *words, "-addext", names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_tls_is_spoken_with_an_authority_that_is_given_and_with_no_other(run, world, certificate, ask, told):
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def work():
        async with world.Server(world.steady, tls=context) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            trusting = HttpClient(url, tls=tls_context(str(cert)))
            assert [await told(trusting) for _ in range(2)] == [b"ok", b"ok"]
            assert len(server.wires) == 1
            await trusting.close()
            await asyncio.sleep(0.02)
            for wary in (HttpClient(url), HttpClient(server.url, tls=tls_context(str(cert)))):
                with pytest.raises(UpstreamError, match="is not trusted"):
                    await ask(wary)
                assert wary.n_open == 0

    asyncio_errors_are_silent(run, work)


def test_tls_to_a_server_that_speaks_none_is_told(run, world, certificate, ask):
    async def plain(wire):
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def work():
        async with world.Server(plain) as server:
            client = HttpClient(server.url.replace("http:", "https:"), tls=tls_context(str(certificate[0])))
            with pytest.raises(UpstreamError, match="speaks no TLS"):
                await ask(client)

    asyncio_errors_are_silent(run, work)


def asyncio_errors_are_silent(run, work):
    """A server whose handshakes fail says so to its loop's handler; that is not what is tested."""

    async def silent():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await work()

    run(silent())
