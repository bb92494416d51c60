"""Personal data by patterns with checksums.

A text without a digit and without `@` holds nothing that is found here, nor does one of a few digits that stand alone: both
cost about a microsecond a kilobyte. Names and places are no patterns: see `presidio`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from functools import lru_cache

from perdure.core.errors import BadGuard, nearest
from perdure.engines.guards.checksums import IBAN_LENGTHS, base58check, bech32, cpf, dni, iban, luhn
from perdure.engines.guards.phones import PHONES
from perdure.engines.guards.stretches import Pattern, around

_RANGES = (  # issuer ranges by the first six digits (ISO/IEC 7812): from, to, lengths
    (400000, 499999, (13, 16, 19)), (510000, 559999, (16,)), (222100, 272099, (16,)), (340000, 349999, (15,)),
    (370000, 379999, (15,)), (300000, 305999, (14, 16)), (309500, 309599, (14, 16)), (360000, 369999, (14, 16)),
    (380000, 399999, (14, 16)), (352800, 358999, (16, 17, 18, 19)), (601100, 601199, (16, 19)),
    (644000, 659999, (16, 19)), (620000, 629999, (16, 17, 18, 19)), (501800, 501899, (16,)), (502000, 502099, (16,)),
    (503800, 503899, (16,)), (589300, 589399, (16,)), (630400, 630499, (16, 19)), (675900, 676399, (16, 18, 19)),
)  # fmt: skip
_BIRTH = (
    r"date of birth|birth ?date|birthday|born(?: on)?|d\.?o\.?b\b\.?|geburtsdatum|geboren(?: am)?|geb\.|"
    r"date de naissance|n[eé]e? le|fecha de nacimiento|nacid[oa] el|data di nascita|nat[oa] il|data de nascimento|"
    r"nascid[oa] em|geboortedatum|дата рождения|生年月日|出生日期|생년월일"
)
_DAY = (
    r"[0-9]{1,4}[./\-][0-9]{1,2}[./\-][0-9]{1,4}|[0-9]{1,2}(?:st|nd|rd|th)?\.? (?:of )?[^\W\d_]{3,10}\.?,? [0-9]{4}|"
    r"[^\W\d_]{3,10}\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4}|[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日"
)
_BIRTH_SIGNS = ("birth", "born", "dob", "d.o.b", "gebor", "geb", "naiss", "née le", "né le", "ne le", "nee le", "nac",
                "nasc", "nato il", "nata il", "geboort", "рожд", "生", "출", "생년")  # fmt: skip
_PAPERS = (
    r"passport|passeport|pasaporte|passaporto|passaporte|reisepass|paspoort|паспорт|護照|护照|旅券|여권|"
    r"(?:personal)?ausweis|driver'?s? licen[cs]e|driving licen[cs]e|f[uü]hrerschein|permis de conduire|"
    r"national id(?:entity)?|identity card|id card|id no|id number|national insurance|nino|nhs|ni number|"
    r"social insurance|tax id|taxpayer id|steuer-?id|codice fiscale|aadhaar|aadhar|dni|nie|nif|bsn|pesel|cpf|curp"
)
_PAPER_SIGNS = ("passport", "passep", "pasaporte", "passap", "reisepass", "paspoort", "паспорт", "護照", "护照", "旅券",
                "여권", "ausweis", "driv", "führer", "fuhrer", "permis", "nation", "ident", "id card", "id n", "nino",
                "nhs", "ni number", "social ins", "tax", "steuer", "codice", "aadha", "dni", "nie", "nif", "bsn",
                "pesel", "cpf", "curp")  # fmt: skip
_NOBODY = ("127.", "0.", "255.255.255.255", "224.", "169.254.169.254")


def _email(match: re.Match[str]) -> tuple[int, int] | None:
    domain = match[1].rstrip(".-_")
    labels = domain.split(".")
    if len(labels) < 2 or not all(labels) or len(labels[-1]) < 2 or not labels[-1].isalpha():
        return None
    if match[0][0] == "." or ".." in match[0][: match.start(1) - match.start()]:
        return None
    return match.start(), match.start(1) + len(domain)


def _card(match: re.Match[str]) -> tuple[int, int] | None:
    ends = [match.end()] if match["rest"] is None else [match.end(), match.start("rest")]
    for end in ends:
        digits = re.sub(r"\D", "", match.string[match.start() : end])
        issued = any(low <= int(digits[:6]) <= high and len(digits) in lengths for low, high, lengths in _RANGES)
        if issued and luhn(digits) and len(set(digits)) > 1:
            return match.start(), end
    return None


def _iban(match: re.Match[str]) -> tuple[int, int] | None:
    text, begin = match.string, match.start() - 2
    needed, end = IBAN_LENGTHS.get(text[begin : begin + 2].upper(), 0), begin
    for _ in range(needed):
        end += end < match.end() and text[end] in " -"
        if end >= match.end():
            return None
        end += 1
    if text[end : end + 1].isalnum() or not iban(re.sub(r"[ \-]", "", text[begin:end])):
        return None
    return begin, end


def _ip4(match: re.Match[str]) -> tuple[int, int] | None:
    numbers = match[0].split(".")
    if any(int(each) > 255 or (len(each) > 1 and each[0] == "0") for each in numbers):
        return None
    before = match.string[max(0, match.start() - 9) : match.start()].lower()
    return None if match[0].startswith(_NOBODY) or before.endswith(("version ", "section ")) else match.span()


def _ip6(match: re.Match[str]) -> tuple[int, int] | None:
    text = match[0].rstrip(":.") if not match[0].endswith("::") else match[0]
    if text.count(":") < 2 or not any(each.isdigit() for each in text):
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return None if address.is_loopback or address.is_unspecified else (match.start(), match.start() + len(text))


def _mac(match: re.Match[str]) -> tuple[int, int] | None:
    return None if len(set(re.sub(r"[:.\-]", "", match[0].lower()))) == 1 else match.span()


def _paper(match: re.Match[str]) -> tuple[int, int] | None:
    return match.span(1) if sum(each.isdigit() for each in match[1]) >= 5 else None


def _coin(match: re.Match[str]) -> tuple[int, int] | None:
    text = match[0]
    if text[:2] == "0x":
        return match.span()
    lower = text[:3].lower() == "bc1"
    if lower and text not in (text.lower(), text.upper()):
        return None
    return match.span() if (bech32(text) if lower else base58check(text)) else None


def _checked(match: re.Match[str]) -> tuple[int, int] | None:
    plain = re.sub(r"\D", "", match[0])
    return match.span() if (cpf(plain) if len(plain) == 11 else dni(match[0].replace("-", ""))) else None


# What every match of some patterns has, each asked once a text. They begin with a digit: that is what makes them quick.
_SEVEN = re.compile(r"[0-9](?:[ ().\-/]{0,2}[0-9]){6}")
_PAPER = re.compile(r"[0-9](?:[A-Za-z]{0,6}[ \-/]?[A-Za-z]{0,6}[0-9]){4}")
_DATED = re.compile(r"[0-9](?:[./\-][0-9]{1,2}[./\-][0-9]|[0-9]{3})")
_COLONS = re.compile(r":[0-9a-fA-F]{0,4}:")
_PAIRS = re.compile(r"[:\-.](?:[0-9A-Fa-f]{2}[:\-]|(?<=\.)[0-9A-Fa-f]{4}\.)")


def _behind(words: str, value: str, between: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?:{words}){between}({value})(?![^\W_])", re.IGNORECASE)


_PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "email": (
        Pattern("email", re.compile(r"(?<![\w.%+\-])[\w.%+\-]{1,64}@([\w\-.]{3,100})"), 166, ("@",), _email, near=around(re.compile("@"), 64)),
    ),
    "iban": (
        Pattern("iban", re.compile(
            r"[0-9][0-9](?<=[A-Za-z]{2}[0-9][0-9])(?<![^\W_][A-Za-z]{2}[0-9][0-9])(?:[ \-]?[A-Za-z0-9]){11,30}"), 64, accept=_iban, back=2),
    ),
    "credit_card": (
        Pattern("credit_card", re.compile(
            r"[2-6](?<![\w.,].)(?:[0-9]{3}(?P<by>[ \-]?)[0-9]{4}(?P=by)[0-9]{4}(?P=by)[0-9]{4}(?P<rest>(?P=by)[0-9]{1,3})?"
            r"|[47][0-9][0-9](?P<amex>[ \-]?)[0-9]{6}(?P=amex)[0-9]{5}|[0689][0-9][0-9](?P<diners>[ \-]?)[0-9]{6}(?P=diners)[0-9]{4}"
            r"|[0-9]{12})(?![0-9])"), 26, accept=_card, gate=_SEVEN.search),
    ),
    "phone": tuple(
        replace(pattern, gate=_SEVEN.search, near=around(_SEVEN, pattern.longest) if pattern.lower else None)
        for pattern in PHONES
    ),
    "us_ssn": (
        Pattern("us_ssn", re.compile(
            r"[0-9](?<![\w\-.].)(?<!9)[0-9][0-9](?<!000)(?<!666)([\- ])(?!00)[0-9][0-9]\1(?!0000)[0-9]{4}(?![\w\-])"), 13, gate=_SEVEN.search),
        Pattern("us_ssn", _behind("ssn|social security(?: number| no\\.?)?", r"[0-9]{3}[\- ]?[0-9][0-9][\- ]?[0-9]{4}",
                                  r"[\s:#=]{1,4}(?:is )?"), 52, ("ssn", "social sec"), lambda match: match.span(1),
                _SEVEN.search, lower=True, near=around(_SEVEN, 52)),
    ),
    "ip": (
        Pattern("ip", re.compile(r"[0-9](?<![\w.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])"), 18, (".",), _ip4),
        Pattern("ip", re.compile(r"(?<![\w:.])(?=[0-9a-fA-F]{0,4}:)[0-9a-fA-F:.]{4,45}(?![\w:])"), 47, (":",), _ip6,
                _COLONS.search, near=around(_COLONS, 4)),
    ),
    "date_of_birth": (
        Pattern("date_of_birth", _behind(_BIRTH, _DAY, r"[\s:=\-–]{0,4}(?:(?:is|was|on|am|on the|le|el)\s)?"), 64,
                _BIRTH_SIGNS, lambda match: match.span(1), _DATED.search, lower=True,
                near=around(_DATED, 64)),
    ),
    "passport": (
        Pattern("passport", _behind(_PAPERS, r"[A-Z0-9](?:[\-/]?[A-Z0-9]| (?:[0-9]|[A-Z](?![A-Z]))){4,19}",
                                    r"(?: (?:number|no|nr|nummer|num[eé]ro|id))?\.?[\s:#=]{1,3}(?:is )?"), 90,
                _PAPER_SIGNS, _paper, _PAPER.search, lower=True, near=around(_PAPER, 90)),
    ),
    "national_id": (
        Pattern("national_id", re.compile(r"[0-9](?<![\w.\-].)(?:[0-9][0-9]\.[0-9]{3}\.[0-9]{3}-[0-9][0-9]|[0-9]{7}-?[A-Z])(?![\w\-])"), 16,
                accept=_checked, gate=_SEVEN.search),
        Pattern("national_id", re.compile(
            r"[0-9][0-9](?<=[A-Z]{6}[0-9][0-9])(?<!\w[A-Z]{6}[0-9][0-9])[A-Z][0-9][0-9][A-Z][0-9]{3}[A-Z](?!\w)"), 12,
                accept=lambda match: (match.start() - 6, match.end()), back=6),
    ),
    "mac": (
        Pattern("mac", re.compile(
            r"(?<![\w:\-.])(?:[0-9A-Fa-f]{2}([:\-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
            r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w:\-])"), 19, accept=_mac,
                gate=_PAIRS.search, near=around(_PAIRS, 10)),
    ),
    "crypto": (
        Pattern("crypto", re.compile(r"[13](?<![A-Za-z0-9].)[1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9])"), 36,
                accept=_coin),
        Pattern("crypto", re.compile(
            r"(?<![A-Za-z0-9])(?:(?:bc|BC)1[02-9ac-hj-np-zAC-HJ-NP-Z]{11,71}|0x[0-9a-fA-F]{40})(?![A-Za-z0-9])"), 76,
                ("bc1", "BC1", "0x"), _coin),
    ),
}  # fmt: skip
KINDS: tuple[str, ...] = tuple(_PATTERNS)
"""What `Pii` can be asked for."""


@lru_cache(maxsize=64)
def patterns(kinds: tuple[str, ...] = ()) -> tuple[Pattern, ...]:
    """The patterns of some kinds; of all of them without any.

    Raises:
        BadGuard: a kind that is not known.
    """
    for kind in kinds:
        if kind not in _PATTERNS:
            near = nearest(kind, KINDS)
            hint = f"Did you mean {near!r}?" if near else f"Use {', '.join(KINDS)}."
            raise BadGuard(f"There is no kind of personal data {kind!r}.", hint=hint)
    return tuple(pattern for kind in kinds or KINDS for pattern in _PATTERNS[kind])


_SHAPE = bytes(48 if 48 <= code <= 57 else 97 if code < 128 and chr(code).isalpha() else code for code in range(256))
_LEAST_DIGITS = (
    5  # of a paper, or of a day with its month in letters; all else that is told by its digits alone has more
)


def may_hold(text: str) -> bool:
    """Whether a text can hold any of it: the scan before the scans. About a microsecond a kilobyte.

    A few digits that touch nothing are a number.

    >>> may_hold("Nothing to see."), may_hold("room 7"), may_hold("call 555 0199")
    (False, False, True)
    """
    # Searches for one byte each run at memory speed; one regular expression for them takes ten times as long.
    if "@" in text:
        return True
    if not (
        "1" in text or "0" in text or "2" in text or "3" in text or "5" in text or "4" in text or "6" in text
        or "7" in text or "8" in text or "9" in text
    ):  # fmt: skip
        return False
    shape = text.encode("utf-8", "surrogatepass").translate(_SHAPE)
    # A sign is looked for first by itself, which is five times faster than with what stands beside it.
    return (
        shape.count(b"0") >= _LEAST_DIGITS
        or b"a0" in shape or b"0a" in shape  # accounts, coins, numbers of persons
        or (b"." in shape and (b"0.0" in shape or b"0.a" in shape or b"a.0" in shape or b"aaaa.aaaa.aaaa" in shape))
        or (b":" in shape and (b"::" in shape or shape.count(b":") >= 5))
        or (b"-" in shape and (b"0-0" in shape or shape.count(b"-") >= 5))
        or (b"/" in shape and b"0/0" in shape)
    )  # fmt: skip
