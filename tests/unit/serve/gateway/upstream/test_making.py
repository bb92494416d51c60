"""Clients of upstreams as they are declared."""

from __future__ import annotations

import pytest

from perdure.assets.upstream import Upstream
from perdure.core.errors import BadRoute
from perdure.serve.gateway.upstream.http import HttpClient
from perdure.serve.gateway.upstream.making import make_client, path_prefix
from perdure.serve.gateway.upstream.tls import tls_context


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_dialects_over_http_have_the_client_for_http(dialect):
    assert isinstance(make_client(Upstream("up", "http://localhost:1/v1", dialect=dialect), "secret"), HttpClient)


@pytest.mark.parametrize("url", ["http://localhost:99999", "http://localhost:x/v1", f"http://{'a' * 70}.example"])
def test_an_address_without_a_legal_host_and_port_is_refused(url):
    with pytest.raises(BadRoute, match="no legal host and port"):
        make_client(Upstream("up", url), "")


def test_a_declared_header_that_cannot_be_sent_is_refused():
    with pytest.raises(BadRoute, match="line break"):
        make_client(Upstream("up", "http://localhost", headers={"x-org": "a\r\nb"}), "")


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_of_authorities_that_holds_none_is_refused(tmp_path, text):
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadRoute, match="certificate authorities"):
        tls_context(str(file))


def test_upstreams_that_trust_the_same_share_a_context():
    assert tls_context() is tls_context()


@pytest.mark.parametrize(
    ("url", "prefix"), [("https://a.b/v1", "/v1"), ("https://a.b/", ""), ("https://a.b/x/y/", "/x/y")]
)
def test_the_path_of_an_address_stands_before_each_request(url, prefix):
    assert path_prefix(Upstream("up", url)) == prefix
