"""A neutral request in Gemini's words. Called by `gemini.GeminiOutbound`."""

from __future__ import annotations

from typing import Any

from perdure.core.errors import BadRequest
from perdure.engines.dialects.checks import objects
from perdure.engines.dialects.gemini_parts import contents_of, is_third
from perdure.engines.dialects.gemini_schema import cleaned

Json = dict[str, Any]
_SAME = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_NOT_SAID = ("logit_bias", "function_call", "functions", "logprobs", "top_logprobs", "web_search_options")
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
"""Tokens of thought for `reasoning_effort`. Source: ai.google.dev, "OpenAI compatibility", thinking."""
_LEVELS = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
"""The third generation cannot be told not to think at all; what is not listed is `HIGH`."""


def body_of(request: Json, model: str) -> Json:
    """What Gemini is sent.

    Raises:
        BadRequest: the request asks for what Gemini has no word for.
    """
    for name in _NOT_SAID:
        if request.get(name):
            raise BadRequest(
                f"The model that answers here does not know `{name}`.",
                hint="Use `tools` for functions; leave out the others.",
                param=name,
            )
    system, contents = contents_of(request, signed=is_third(model))
    body: Json = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    tools = [_declared(tool) for tool in objects(request, "tools")]
    if tools:
        body["tools"] = [{"functionDeclarations": tools}]
        choice = _choice(request.get("tool_choice"))
        if choice:
            body["toolConfig"] = {"functionCallingConfig": choice}
    config = _generation(request, model)
    if config:
        body["generationConfig"] = config
    for name, theirs in (("safety_settings", "safetySettings"), ("cached_content", "cachedContent")):
        if request.get(name):
            body[theirs] = request[name]
    return body


def _declared(tool: Json) -> Json:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict) or not function.get("name"):
        raise BadRequest(
            f"A tool of type {str(tool.get('type'))[:40]!r} is not known to the model that answers here.",
            hint="Declare functions with a name and parameters.",
            param="tools",
        )
    told: Json = {"name": function["name"]}
    if function.get("description"):
        told["description"] = function["description"]
    parameters = function.get("parameters")
    if isinstance(parameters, dict) and (parameters.get("properties") or "$ref" in parameters):
        told["parametersJsonSchema"] = cleaned(parameters)
    return told


def _choice(choice: Any) -> Json:
    if isinstance(choice, str):
        return {"none": {"mode": "NONE"}, "auto": {"mode": "AUTO"}, "required": {"mode": "ANY"}}.get(choice, {})
    if not isinstance(choice, dict):
        return {}
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools")
        allowed = allowed if isinstance(allowed, dict) else {}
        names = [_name(tool) for tool in objects(allowed, "tools", "tool_choice.allowed_tools.")]
        return {"mode": "ANY" if allowed.get("mode") == "required" else "VALIDATED", "allowedFunctionNames": names}
    return {"mode": "ANY", "allowedFunctionNames": [_name(choice)]}


def _name(choice: Json) -> str:
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise BadRequest("`tool_choice` names no function.", param="tool_choice")
    return name


def _generation(request: Json, model: str) -> Json:
    config = {theirs: request[name] for name, theirs in _SAME.items() if request.get(name) is not None}
    limit = request.get("max_completion_tokens")
    limit = request.get("max_tokens") if limit is None else limit
    if limit is not None:
        config["maxOutputTokens"] = limit
    stop = request.get("stop")
    if stop:
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    _format(request.get("response_format"), config)
    effort = request.get("reasoning_effort")
    if isinstance(effort, str):
        if is_third(model):
            config["thinkingConfig"] = {"thinkingLevel": _LEVELS.get(effort, "HIGH")}
        elif effort in _BUDGETS:
            config["thinkingConfig"] = {"thinkingBudget": _BUDGETS[effort]}
    modalities = request.get("modalities")
    if isinstance(modalities, list) and modalities != ["text"]:
        config["responseModalities"] = [str(each).upper() for each in modalities]
    audio = request.get("audio")
    if isinstance(audio, dict) and audio.get("voice"):
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": audio["voice"]}}}
    return config


def _format(wanted: Any, config: Json) -> None:
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind in ("json_object", "json_schema"):
        config["responseMimeType"] = "application/json"
    described = wanted.get("json_schema") if kind == "json_schema" else None
    if isinstance(described, dict) and isinstance(described.get("schema"), dict):
        config["responseJsonSchema"] = cleaned(described["schema"])
