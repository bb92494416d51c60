"""Secrets: the shapes of services, and what was drawn behind a word."""

from __future__ import annotations

import pytest

from perdure.engines.guards.secrets import KINDS, PATTERNS

BODY = "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7b"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq\nxyz0123+/=\n-----END RSA PRIVATE KEY-----"
FOUND = [
    ("virtual_key", "key pk-perdure-abcd1234efgh5678 here", "pk-perdure-abcd1234efgh5678"),
    ("aws_key", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("github_token", f"ghp_{BODY}", f"ghp_{BODY}"),
    ("github_token", f"x github_pat_{BODY}{BODY}{BODY} y", f"github_pat_{BODY}{BODY}{BODY}"),
    ("gitlab_token", "glpat-aB3dE5fG7hI9jK1lM3nO", "glpat-aB3dE5fG7hI9jK1lM3nO"),
    ("slack_token", "xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
    ("slack_webhook", "https://hooks.slack.com/services/T0001/B0001/aB3dE5fG7hI9jK1l",
     "hooks.slack.com/services/T0001/B0001/aB3dE5fG7hI9jK1l"),
    ("stripe_key", "sk_live_aB3dE5fG7hI9jK1lM3nO", "sk_live_aB3dE5fG7hI9jK1lM3nO"),
    ("ai_key", f"sk-ant-api03-{BODY}", f"sk-ant-api03-{BODY}"),
    ("ai_key", f"sk-proj-{BODY * 4}.", f"sk-proj-{BODY * 4}"),
    ("ai_key", f"hf_{BODY}", f"hf_{BODY}"),
    ("google_key", "AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
    ("package_token", f"npm_{BODY}", f"npm_{BODY}"),
    ("service_token", "shpat_" + "0123456789abcdef" * 2, "shpat_" + "0123456789abcdef" * 2),
    ("jwt", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_"),
    ("private_key", f"{KEY} and more", KEY),
    ("url_password", "postgres://app:s3cr3tpw@db/x", "s3cr3tpw"),
    ("password", "password=Hunter2xyz!", "Hunter2xyz"),
    ("password", "The API key is: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    ("password", "'client_secret': 'q9W8e7R6t5'", "q9W8e7R6t5"),
]  # fmt: skip
HARMLESS = [
    "The password is required and must have 12 characters.", "password=your_password_1", "token: ${TOKEN_2}", "pass 12345678",
    "api_key = os.environ['KEY1']", "password: ********1a", "sk-learn is a library", "my task-force-one-two-three-four-five",
    "gh_pages", "eyJ", "AKIA is a prefix", "https://example.org:8080/a@b", "-----BEGIN CERTIFICATE-----", "npm_config_cache_folder_name",
    "secret santa 2024 party invitation", "token limit is 4096tokens", "risk-adjusted-returns-of-the-whole-portfolio",
]  # fmt: skip


def found(text: str) -> list[tuple[str, str]]:
    return [(hit.kind, text[hit.start : hit.end]) for pattern in PATTERNS for hit in pattern.find(text)]


@pytest.mark.parametrize(("kind", "text", "stretch"), FOUND)
def test_a_secret_is_found_to_its_end_however_long_it_is(kind: str, text: str, stretch: str) -> None:
    assert (kind, stretch) in found(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_talks_of_secrets_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_every_kind_has_an_example_here() -> None:
    assert {kind for kind, _, _ in FOUND} == set(KINDS)


def test_a_gate_is_true_of_every_example_of_its_patterns() -> None:
    for _, text, _ in FOUND:
        assert all(pattern.gate(text) for pattern in PATTERNS if pattern.gate is not None and list(pattern.find(text)))


def test_an_opening_is_never_longer_than_its_pattern_says() -> None:
    for _, text, _ in FOUND:
        for pattern in PATTERNS:
            for match in pattern.regex.finditer(text):
                assert match.end() - match.start() + 1 <= pattern.longest
