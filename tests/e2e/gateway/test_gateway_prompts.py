"""Prompts by name over real HTTP: rendered, released, refused."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import openai
import pytest
from gateway_upstream import recorded
from gateway_world import World, version_of

from perdure import Case, Prompt, Route, Team
from perdure.assets.version import Pointer

ANSWER = Prompt(
    "answer",
    [("system", "You are {{ tone }}."), ("user", "{{ question }}")],
    route="chat",
    variables={"question": str, "tone": {"default": "formal"}},
    params={"temperature": 0, "max_tokens": 64},
)


@dataclass
class PromptWorld(World):
    """A world with prompts."""

    prompts: dict[str, Prompt] = field(default_factory=dict)

    def parts(self) -> Any:
        made = super().parts()
        return replace(made, gateway=replace(made.gateway, prompts=self.prompts))

    def release(self, prompt: Prompt, name: str = "champion", share: float = 1.0) -> tuple[str, int]:
        """Declare a prompt and point at its version; returns the version and the generation."""
        self.prompts.setdefault(prompt.name, prompt)
        version = version_of(prompt.name, "prompt", prompt.definition())
        self.register(version)
        return version.id, self.point(Pointer(prompt.name, name, version.id, share))


@pytest.fixture(scope="module")
def served(tmp_path_factory, every_upstream):
    """A prompt for a route of each dialect, that only `prompt:*` may be asked for."""
    teams = {"team": Team("team", routes=("prompt:*",)), "other": Team("other", routes=("chat", "prompt:b*"))}
    world = PromptWorld(tmp_path_factory.mktemp("prompts"), every_upstream.url, teams=teams)
    world.declare(
        Route("chat", [world.target("m-1")], bodies="full"), Route("claude", [world.target("c-1", "anthropic")])
    )
    world.release(ANSWER)
    world.release(replace(ANSWER, name="by_claude", route="claude"))
    world.release(
        replace(
            ANSWER, name="formed", output={"type": "object", "properties": {"b": {}, "a": {}}}, params={"stop": ["x"]}
        )
    )
    world.release(replace(ANSWER, name="lost", route="gone"))
    with world.serving() as gateway:
        yield gateway


def test_a_prompt_is_rendered_and_goes_to_its_route_with_its_params(gateway, upstreams):
    answer = gateway.ask(
        "/v1/chat/completions",
        json.dumps({"model": "prompt:answer", "variables": {"question": "Why {{ tone }}?"}, "seed": 7}).encode(),
    )

    assert (answer.status, answer.text) == (200, "Trains leave at noon.")
    assert upstreams.seen[-1].body == {
        "model": "m-1",
        "seed": 7,
        "temperature": 0,
        "max_tokens": 64,
        "messages": [
            {"role": "system", "content": "You are formal."},
            {"role": "user", "content": "Why {{ tone }}?"},
        ],
    }


def test_the_version_is_in_the_header_and_on_record(gateway, upstreams):
    before = len(gateway.world.calls())
    answer = gateway.chat(model="prompt:answer", variables={"question": "Why?"})

    version = version_of("answer", "prompt", ANSWER.definition()).id
    call = gateway.recorded(before + 1)[-1]
    assert answer.headers["perdure-prompt"] == version
    assert (call.prompt, call.route, call.outcome) == (version, "chat", "answered")
    assert json.loads(call.request)[0]["content"] == "You are formal."


def test_further_messages_follow_and_the_caller_s_own_members_win(gateway, upstreams):
    further = [{"role": "assistant", "content": "Because."}, {"role": "user", "content": "And why that?"}]
    body = {
        "model": "prompt:answer",
        "variables": {"question": "Why?"},
        "messages": further,
        "max_completion_tokens": 5,
    }

    assert gateway.ask("/v1/chat/completions", json.dumps(body).encode()).status == 200

    seen = upstreams.seen[-1].body
    assert [each["role"] for each in seen["messages"]] == ["system", "user", "assistant", "user"]
    assert seen["messages"][2:] == further
    assert (seen["max_completion_tokens"], "max_tokens" in seen, "variables" in seen) == (5, False, False)


def test_a_stream_of_a_prompt(gateway, upstreams):
    answer = gateway.chat(model="prompt:answer", variables={"question": "Why?"}, stream=True)

    assert answer.text == "Trains leave at noon."
    assert answer.headers["perdure-prompt"].startswith("answer@")


def test_the_openai_sdk_asks_by_name(gateway, upstreams):
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key=gateway.secret, max_retries=0) as client:
        answer = client.chat.completions.create(
            model="prompt:answer", messages=[], extra_body={"variables": {"question": "Why?", "tone": "kind"}}
        )

    assert answer.choices[0].message.content == "Trains leave at noon."
    assert upstreams.seen[-1].body["messages"][0]["content"] == "You are kind."


@pytest.mark.parametrize("name", ["answer", "by_claude"])
@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_s_messages_are_rendered_too(gateway, upstreams, name, stream):
    answer = gateway.message("And?", model=f"prompt:{name}", variables={"question": "Why?"}, stream=stream)

    seen = upstreams.seen[-1].body
    assert answer.status == 200
    assert b"noon" in answer.content
    if name == "by_claude":
        assert seen["system"] == [{"type": "text", "text": "You are formal."}]
        assert [each["role"] for each in seen["messages"]] == ["user", "user"]
        assert (seen["temperature"], seen["max_tokens"]) == (0, 50)
    else:
        assert [each["role"] for each in seen["messages"]] == ["system", "user", "user"]


def test_a_client_s_own_system_text_follows_the_prompt_s(gateway, upstreams):
    for system in ("Be brief.", [{"type": "text", "text": "Be brief."}]):
        gateway.message("And?", model="prompt:by_claude", variables={"question": "Why?"}, system=system)

        assert [each["text"] for each in upstreams.seen[-1].body["system"]] == ["You are formal.", "Be brief."]


def test_the_form_of_the_answer_is_asked_for_in_order_and_in_either_dialect(gateway, upstreams):
    gateway.chat(model="prompt:formed", variables={"question": "Why?"})
    form = upstreams.seen[-1].body["response_format"]["json_schema"]
    assert (form["name"], list(form["schema"]["properties"])) == ("formed", ["b", "a"])

    gateway.message(model="prompt:formed", variables={"question": "Why?"})
    seen = upstreams.seen[-1].body
    assert seen["response_format"]["json_schema"]["schema"]["properties"].keys() == {"a", "b"}
    assert seen["stop"] == ["x"]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"variables": {"question": "Why?", "tome": "kind"}}, "Did you mean 'tone'?"),
        ({"variables": {}}, "lacks the variable 'question'"),
        ({}, "lacks the variable 'question'"),
        ({"variables": {"question": 7}}, "is wrong: it is not of type"),
        ({"variables": ["question"]}, "`variables` must be an object."),
        ({"variables": {"question": "Why?"}, "messages": "Why?"}, "`messages` must be a list."),
        ({"variables": {"question": "a" * 1_000_001}}, "more than 1,000,000 characters"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_wrong_variables_are_refused_in_the_caller_s_words_and_on_record(gateway, upstreams, path, members, said):
    before = len(gateway.world.calls())

    answer = gateway.ask(path, json.dumps({"model": "prompt:answer", "max_tokens": 9, **members}).encode())

    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert said in answer.error["message"]
    assert ("type" in answer.json) == (path == "/v1/messages")
    call = gateway.recorded(before + 1)[-1]
    assert (call.outcome, call.prompt.partition("@")[0], call.route) == ("refused", "answer", "chat")
    assert not upstreams.seen


def test_no_value_is_told_in_an_error(gateway, upstreams):
    answer = gateway.chat(model="prompt:answer", variables={"question": "Why?", "tone": ["swordfish"]})

    assert answer.status == 400
    assert b"swordfish" not in answer.content


def test_a_team_decides_what_may_be_called_and_listed(gateway, upstreams):
    assert gateway.chat(model="chat").status == 404, "a prompt's route need not be allowed"
    other = gateway.world.key("other")
    gateway.wait_for(
        lambda: gateway.ask("/v1/models", None, method="GET", authorization=f"Bearer {other}").status == 200
    )

    def listed(secret):
        answer = gateway.ask("/v1/models", None, method="GET", authorization=f"Bearer {secret}")
        return [each["id"] for each in answer.json["data"]]

    assert listed(gateway.secret) == ["prompt:answer", "prompt:by_claude", "prompt:formed", "prompt:lost"]
    assert listed(other) == ["chat", "prompt:by_claude"]
    refused = gateway.chat(
        model="prompt:answer", variables={"question": "Why?"}, headers={"authorization": f"Bearer {other}"}
    )
    assert refused.status == 404
    assert "prompt:answer'" not in refused.error["message"].partition("Did you mean")[2]


def test_a_prompt_that_is_not_there_is_told_with_the_nearest(gateway, upstreams):
    answer = gateway.chat(model="prompt:anwser")

    assert answer.status == 404
    assert "Did you mean 'prompt:answer'?" in answer.error["message"]


def test_a_prompt_whose_route_is_not_served_is_not_ready(gateway, upstreams):
    answer = gateway.chat(model="prompt:lost", variables={"question": "Why?"})

    assert answer.status == 503
    assert "answered by the route 'gone'" in answer.error["message"]


def test_an_endpoint_without_messages_takes_no_prompt(gateway, upstreams):
    answer = gateway.ask("/v1/embeddings", json.dumps({"model": "prompt:answer", "input": "Why?"}).encode())

    assert answer.status == 400
    assert "takes no prompts" in answer.error["message"]


def test_a_challenger_answers_its_share_and_the_same_callers_always(world, upstreams):
    world = PromptWorld(world.root, world.url)
    world.declare(Route("chat", [world.target("m-1")]))
    old, _ = world.release(ANSWER)
    new, _ = world.release(replace(ANSWER, messages=[("user", "{{ tone }} {{ question }}")]), "challenger", 0.5)
    with world.serving() as gateway:

        def version(user):
            return gateway.chat(model="prompt:answer", variables={"question": "Why?"}, user=user).headers[
                "perdure-prompt"
            ]

        first = {f"u{each}": version(f"u{each}") for each in range(24)}
        assert set(first.values()) == {old, new}
        assert {user: version(user) for user in first} == first


def test_a_release_swaps_the_prompt_and_drops_no_stream(world, upstreams):
    """A stream that began under one version ends under it while calls that come later get the next."""
    world = PromptWorld(world.root, world.url)
    world.declare(Route("chat", [world.target("m-1")]))
    old, _ = world.release(ANSWER)
    upstreams.then(recorded(gap_s=0.15))
    with world.serving() as gateway:
        answers: list[Any] = []
        ask = {"model": "prompt:answer", "variables": {"question": "Why?"}}
        streaming = threading.Thread(target=lambda: answers.append(gateway.chat(**ask, stream=True)))
        streaming.start()
        gateway.wait_for(lambda: upstreams.seen)
        new, generation = world.release(replace(ANSWER, messages=[("user", "{{ tone }}: {{ question }}")]))
        gateway.wait_for_generation(generation)
        later = gateway.chat(**ask)
        assert streaming.is_alive()
        streaming.join()

    assert (later.headers["perdure-prompt"], answers[0].headers["perdure-prompt"]) == (new, old)
    assert answers[0].text == "Trains leave at noon."
    assert upstreams.seen[-1].body["messages"][0]["content"] == "formal: Why?"


def test_a_version_that_cannot_be_rendered_is_held_back_and_the_one_before_goes_on(world, upstreams):
    world = PromptWorld(world.root, world.url)
    world.declare(Route("chat", [world.target("m-1")]))
    old, _ = world.release(ANSWER)
    with world.serving() as gateway:
        broken = {
            **ANSWER.definition(),
            "messages": [{"role": "user", "content": "{{ question.__class__ }} {{ tone }}"}],
        }
        version = version_of("answer", "prompt", broken)
        world.register(version)
        generation = world.point(Pointer("answer", "champion", version.id))
        gateway.wait_for_generation(generation)

        answer = gateway.chat(model="prompt:answer", variables={"question": "Why?"})
        assert (answer.status, answer.headers["perdure-prompt"]) == (200, old)


def test_examples_and_the_words_for_one_model_go_by_the_route_s_first_target(tmp_path, upstreams):
    world = PromptWorld(tmp_path, upstreams.url, teams={"team": Team("team", routes=("prompt:*",))})
    target = world.target("m-1")
    world.declare(Route("chat", [target]))
    shown = replace(
        ANSWER,
        name="shown",
        examples=[Case("late", {"question": "Is it {{ late }}?"}, "Yes.")],
        variants={f"{target.upstream.name}/m-2": [("user", "Never {{ tone }} {{ question }}")]},
    )
    own = {"messages": [("user", "{{ question }} ({{ tone }})")], "params": {"max_tokens": 9}}
    world.release(shown)
    world.release(replace(shown, name="worded", variants={f"{target.upstream.name}/m-1": own}))
    with world.serving() as gateway:
        for name in ("shown", "worded"):
            assert gateway.chat(model=f"prompt:{name}", variables={"question": "Why?"}).status == 200

    first, second = upstreams.seen[-2].body, upstreams.seen[-1].body
    further = first["messages"][4:]
    assert [each["content"] for each in first["messages"][:4]] == [
        "You are formal.",
        "Is it {{ late }}?",
        "Yes.",
        "Why?",
    ]
    assert [each["content"] for each in second["messages"][:3]] == [
        "Is it {{ late }}? (formal)",
        "Yes.",
        "Why? (formal)",
    ]
    assert second["messages"][3:] == further
    assert (first["max_tokens"], second["max_tokens"], second["temperature"]) == (64, 9, 0)
