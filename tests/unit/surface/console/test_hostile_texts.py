"""Whatever people and programs have written is text: it makes no element, no attribute, no address and no script of its own, on any page."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import console_world
import page_walk
import pytest
from console_world import Texts

from perdure.surface.console.twins import api_path
from perdure.surface.eval_told import visible

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "javascript:alert(1)",
    "{{7*7}}{% raw %}${7*7}",
    "</script><svg onload=alert(1)>",
    "evil\u202egnp.exe\u2066",
    "' onfocus=alert(1) autofocus='",
    "<div hx-get=/people hx-trigger=load>",
    "</textarea></title></style><base href=//evil.example>",
    "\x00\x1b[31mred\x07",
    "<!--<script>&lt;b&gt;&amp;#39;",
    "](javascript:alert(1)) ![x](//evil.example/x.png)",
)
_LEAST = 15
"""Pages of this world that show at least one of the texts."""


def _texts(some: tuple[str, ...]) -> Texts:
    return Texts(**dict(zip((each.name for each in fields(Texts)), some, strict=True)))


@pytest.fixture(scope="module")
def kind(tmp_path_factory):
    """The world as it is without a hostile text."""
    return _walked(tmp_path_factory.mktemp("kind"), Texts())


def _walked(folder, texts: Texts):
    console = console_world.open_console(console_world.make_world(folder / "shop", texts))
    found, _ = page_walk.walk(console, "/training/compare?runs=run_1,run_2")
    return console, found


@pytest.mark.parametrize("half", [HOSTILE[:6], HOSTILE[6:]], ids=["first", "second"])
def test_no_hostile_text_becomes_anything_but_text(kind, half, tmp_path):
    _, found = _walked(tmp_path, _texts(half))
    assert {each.address: each.answer.status for each in found.values() if each.answer.status >= 500} == {}
    assert {each.address: each.read.wrong for each in found.values() if each.read.wrong} == {}
    plain = {each.address: each.read for each in kind[1].values()}
    for each in found.values():
        if each.address not in plain:
            continue
        made = Counter(each.read.tags)
        for tag in ("script", "img", "svg", "iframe", "base", "form", "input", "textarea", "style", "object", "link"):
            assert made[tag] <= plain[each.address].tags[tag], (each.address, tag)
    shown = [each for each in found.values() if any(visible(text) in "".join(each.read.text) for text in half)]
    assert len({each.page.name for each in shown}) >= _LEAST
    said = "".join(text for each in found.values() for text in each.read.text)
    assert [text for text in half if visible(text) not in said] == []


def test_twins_give_the_texts_as_they_are_and_as_json_alone(tmp_path):
    console = console_world.open_console(console_world.make_world(tmp_path / "shop", Texts(purpose=HOSTILE[1])))
    answer = console.get(api_path("/assets/model/eta"), as_=page_walk.EVERYBODY)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert HOSTILE[1] in str(answer.json)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_address_of_hostile_parts_is_refused_as_text(console, text):
    from urllib.parse import quote

    for path in (f"/assets/model/{quote(text, safe='')}", f"/incidents/{quote(text, safe='')}", f"/assets?kind={quote(text)}", f"/nowhere?{quote(text)}"):  # fmt: skip
        answer = console.get(path, as_=page_walk.EVERYBODY, referer=f"http://127.0.0.1:8500/x?{quote(text)}")
        assert 400 <= answer.status < 500, path
        assert page_walk.read(answer.text).wrong == []
