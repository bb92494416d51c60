"""Keys and tokens by the shapes that services give them, and long random strings behind a word such as `password`.

A shape that its service prefixes on purpose (so that scanners see it) is taken as it stands; a value behind a word must look
drawn, not written: letters with digits or signs, and enough entropy.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from perdure.engines.guards.stretches import Gate, Pattern, around_signs, signed

_NAMED = (
    r"pass ?word|passwd|pwd|passphrase|passwort|kennwort|mot de passe|contrase[nñ]a|senha|пароль|密码|パスワード|"
    r"(?:client|app|api|aws|shared)?[_\- ]?secret(?:[_\- ]?(?:access[_\- ]?)?key)?|api[_\- ]?key|access[_\- ]?key|"
    r"auth[_\- ]?token|access[_\- ]?token|bearer|token|account[_\- ]?key|private[_\- ]?key|credentials?"
)
_NAMED_SIGNS = ("pass", "pwd", "kennwort", "contrase", "senha", "парол", "密码", "パス", "secret", "key", "token",
                "bearer", "credential")  # fmt: skip
_LONGEST_BEFORE = 16  # characters of a name before its sign
_PLAIN_SIGNS = tuple(sign for sign in _NAMED_SIGNS if sign.isascii())
_PLACEHOLDERS = re.compile(
    r"(?i)^(?:[$%{<*]|process\.env|os\.environ|env\.|your|my[_-]?|example|placeholder|change|xxx|test[_-]?|dummy|none|"
    r"null|true|false|undefined|required|https?://)|\*{3}|xxxx|\.\.\.|\(\)"
)
_LEAST_ENTROPY = 2.7  # bits a character: below lie words and numbers that a person typed twice


def entropy(text: str) -> float:
    """Shannon entropy of the characters, bits a character.

    >>> entropy("aaaa"), entropy("abcd")
    (0.0, 2.0)
    """
    n = len(text)
    return -sum(count / n * math.log2(count / n) for count in Counter(text).values()) + 0.0


def _drawn(match: re.Match[str]) -> tuple[int, int] | None:
    value = match[1].rstrip(".,;:!?)]}'\"")
    letters, digits = any(each.isalpha() for each in value), any(each.isdigit() for each in value)
    if len(value) < 8 or not letters or not digits or _PLACEHOLDERS.search(value):
        return None
    return (match.start(1), match.start(1) + len(value)) if entropy(value) >= _LEAST_ENTROPY else None


def _random(match: re.Match[str]) -> tuple[int, int] | None:
    """A prefixed token whose body is no prose: it has a digit or changes case."""
    body = match[1]
    mixed = any(each.isdigit() for each in body) or body not in (body.lower(), body.upper())
    return match.span() if mixed and entropy(body) >= 2.5 else None


def _has_underscore(text: str) -> bool:
    return "_" in text


def _has_hyphen(text: str) -> bool:
    return "-" in text


def _has_prefix(text: str) -> bool:
    """Whether one of the prefixes stands in it that have neither hyphen nor underscore."""
    return (
        "eyJ" in text or "AKIA" in text or "ASIA" in text or "AIza" in text or "SG." in text or "EAAC" in text
        or "ya29." in text or "GOCSPX-" in text or "s.slack.com" in text
    )  # fmt: skip


def _has_colon(text: str) -> bool:
    return "://" in text


def _has_digit(text: str) -> bool:
    return (
        "1" in text or "0" in text or "2" in text or "3" in text or "5" in text or "4" in text or "6" in text
        or "7" in text or "8" in text or "9" in text
    )  # fmt: skip


def _token(kind: str, signs: tuple[str, ...], regex: str, longest: int, gate: Gate | None = None) -> Pattern:
    compiled = re.compile(rf"(?<![A-Za-z0-9_\-]){regex}")
    return Pattern(kind, compiled, longest, signs, _random if compiled.groups else None, gate, _MORE)


_MORE = re.compile(r"[A-Za-z0-9_\-]{1,16384}")
_KEY_BLOCK = re.compile(
    r"(?:[A-Za-z0-9+/=\s:,\\.]|-(?!----)){1,65536}(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"
)
PATTERNS: tuple[Pattern, ...] = (
    _token("virtual_key", ("pk-perdure-",), r"pk-perdure-[\w\-]{8,100}", 112, _has_hyphen),
    _token("aws_key", ("AKIA", "ASIA"), r"A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9])", 21, _has_prefix),
    _token("github_token", ("gh", "github_pat_"), r"(?:gh[pousr]_|github_pat_)([A-Za-z0-9_]{20,100})", 112,
           _has_underscore),
    _token("gitlab_token", ("gl",), r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-([\w\-]{20,100})", 110, _has_hyphen),
    _token("slack_token", ("xox", "xapp-"), r"(?:xox[abeoprs]|xapp)-([A-Za-z0-9\-]{10,100})", 106, _has_hyphen),
    _token("slack_webhook", ("s.slack.com",), r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/]{20,100})", 134,
           _has_prefix),
    _token("stripe_key", ("k_live_", "k_test_", "whsec_"), r"(?:[srp]k_(?:live|test)_|whsec_)([A-Za-z0-9]{16,100})", 110,
           _has_underscore),
    _token("ai_key", ("gsk_", "hf_", "r8_"), r"(?:gsk_|hf_|r8_)([\w\-]{20,120})", 124, _has_underscore),
    _token("ai_key", ("sk-", "xai-", "pplx-"),
           r"(?:sk-(?:ant-|proj-|svcacct-|admin-|or-)?|xai-|pplx-)([\w\-]{20,120})", 134, _has_hyphen),
    _token("google_key", ("AIza", "ya29.", "GOCSPX-"),
           r"(?:AIza[\w\-]{35}|ya29\.[\w\-]{20,120}|GOCSPX-[\w\-]{20,40})", 128, _has_prefix),
    _token("package_token", ("pypi-",), r"pypi-AgE([\w\-]{24,120})", 128, _has_hyphen),
    _token("package_token", ("npm_", "_pat_", "gems_"), r"(?:npm_|dckr_pat_|rubygems_)([\w\-]{24,120})", 132,
           _has_underscore),
    _token("service_token", ("shp", "dop_", "glsa_", "lin_api_", "figd_", "ntn_"),
           r"(?:shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|dop_v1_[a-f0-9]{64}|glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|"
           r"lin_api_[A-Za-z0-9]{40}|figd_[\w\-]{40}|ntn_[A-Za-z0-9]{40,50})", 74, _has_underscore),
    _token("service_token", ("key-", "sq0"), r"(?:key-[a-f0-9]{32}|sq0(?:atp|csp)-[\w\-]{22,43})", 54, _has_hyphen),
    _token("service_token", ("SG.", "EAAC"), r"(?:SG\.[\w\-]{16,32}\.[\w\-]{20,64}|EAAC[A-Za-z0-9]{40,120})", 126,
           _has_prefix),
    Pattern("jwt", re.compile(r"(?<![A-Za-z0-9_\-])eyJ[\w\-]{8,90}(?=[\w\-.])"), 96, ("eyJ",),
            gate=_has_prefix, tail=re.compile(r"[\w.\-]{1,16384}")),
    Pattern("private_key", re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"), 90,
            ("-BEGIN ",), tail=_KEY_BLOCK, gate=_has_hyphen),
    Pattern("url_password", re.compile(r"(?<![A-Za-z0-9])[a-z][a-z0-9+.]{1,20}://[^\s:@/]{1,64}:([^\s:@/]{4,100})@"), 194,
            (), lambda match: None if _PLACEHOLDERS.search(match[1]) else match.span(1), _has_colon),
    Pattern("password", re.compile(
        rf"(?i)(?<![^\W_])(?:{_NAMED})[\"'`]?\s{{0,3}}(?:(?:is|are)?[:=]{{1,2}}>?|is|are|to|ist|est|es|é|,)?\s{{0,3}}[\"'`]?"
        r"([^\s\"'`<>]{8,120})"), 190, _NAMED_SIGNS, _drawn, _has_digit, lower=True,
            near=around_signs(_NAMED_SIGNS, _LONGEST_BEFORE)),
)  # fmt: skip
"""In the order in which they are looked for."""
KINDS: tuple[str, ...] = tuple(pattern.kind for pattern in PATTERNS)
_RUNS = bytes(97 if code > 127 or chr(code).isalnum() or chr(code) in "_-./+" else 32 for code in range(256))
_RUN = b"a" * 15  # the shortest token has 15 characters


def may_hold(text: str) -> bool:
    """Whether a text can hold any of it: the scan before the scans. About a microsecond a kilobyte.

    >>> may_hold("The secret is out since 1999."), may_hold("Nothing to see."), may_hold("AKIAIOSFODNN7EXAMPLE")
    (True, False, True)
    """
    if _RUN in text.encode("utf-8", "surrogatepass").translate(_RUNS):
        return True
    if "eyJ" in text or "-BEGIN " in text or "://" in text:
        return True
    return _has_digit(text) and signed(text.lower(), _PLAIN_SIGNS if text.isascii() else _NAMED_SIGNS)
