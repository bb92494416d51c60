"""Content, tools and choices between Anthropic's blocks and the neutral parts, both ways.

Blocks that chat completions have no word for (documents by URL, search results, what Anthropic's own tools did) stand in
the neutral content as they are: an Anthropic upstream gets them back unchanged, others refuse them in words.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from perdure.core.errors import BadRequest
from perdure.engines.dialects.checks import required

Json = dict[str, Any]
_DATA_URL = re.compile(r"data:([\w.+/-]+);base64,(.*)", re.DOTALL)
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_CARRIED = ("cache_control", "citations", "context")


def part_of(block: Json, where: str) -> Json:
    """The neutral part of one block of a user's or an assistant's turn.

    Raises:
        BadRequest: a text without text, or an image without a source.
    """
    kind = required(block, "type", "string", where)
    if kind == "text":
        required(block, "text", "string", where)
        return dict(block)
    source = block.get("source")
    if kind == "image":
        source = required(block, "source", "object", where)
        url = source.get("url") if source.get("type") == "url" else _data_url(source)
        if url is None:  # a file that Anthropic keeps
            return dict(block)
        return {"type": "image_url", "image_url": {"url": url}} | _carried(block)
    if kind == "document" and isinstance(source, dict) and source.get("type") == "base64":
        file = {"filename": block.get("title") or "document.pdf", "file_data": _data_url(source)}
        return {"type": "file", "file": file} | _carried(block)
    return dict(block)


def _data_url(source: Json) -> str | None:
    if source.get("type") != "base64":
        return None
    return f"data:{source.get('media_type')};base64,{source.get('data')}"


def _carried(block: Json) -> Json:
    return {name: block[name] for name in _CARRIED if block.get(name) is not None}


def block_of(part: Json) -> Json | None:
    """Anthropic's block of one neutral part; None for an empty text, which it refuses.

    Raises:
        BadRequest: audio, or a file by another provider's id.
    """
    kind = required(part, "type", "string", "messages[].content[].")
    if kind in ("text", "refusal"):
        text = part.get("text") if kind == "text" else part.get("refusal")
        if not isinstance(text, str):
            raise BadRequest(f"A part of type {kind} must have its {kind} as a string.", param="messages[].content")
        return _text(part, text)
    if kind == "image_url":
        return {"type": "image", "source": _image_source(part)} | _carried(part)
    if kind == "file":
        return _document(part)
    if kind == "input_audio":
        raise BadRequest("The model that answers here takes no audio.", hint="Send text, images or PDF files.")
    return part


def _text(part: Json, text: str) -> Json | None:
    return {"type": "text", "text": text} | _carried(part) if text else None


def _image_source(part: Json) -> Json:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if isinstance(url, str):
        inline = _DATA_URL.fullmatch(url)
        if inline is not None:
            return {"type": "base64", "media_type": inline[1], "data": inline[2]}
        if url.startswith(("https://", "http://")):
            return {"type": "url", "url": url}
    raise BadRequest(
        "`image_url.url` is neither an address nor base64 data.",
        hint="Send https://… or data:image/png;base64,….",
    )


def _document(part: Json) -> Json:
    file = part.get("file")
    inline = _DATA_URL.fullmatch(str(file.get("file_data"))) if isinstance(file, dict) else None
    if not isinstance(file, dict) or inline is None:
        raise BadRequest(
            "A file can be sent to the model that answers here only with its data.",
            hint="Send `file_data` as data:application/pdf;base64,….",
        )
    source = {"type": "base64", "media_type": inline[1], "data": inline[2]}
    title = {"title": file["filename"]} if file.get("filename") else {}
    return {"type": "document", "source": source} | title | _carried(part)


def blocks_of(content: Any) -> list[Json]:
    """Anthropic's blocks of neutral content, a string or parts.

    Raises:
        BadRequest: it is neither, or holds what Anthropic does not take.
    """
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list | None) or not all(isinstance(part, dict) for part in content or ()):
        raise BadRequest("`content` of a message must be a string or a list of objects.", param="messages[].content")
    return [block for part in content or () if (block := block_of(part)) is not None]


def tool_of(tool: Json, where: str) -> Json:
    """The neutral tool of Anthropic's; what chat completions have no word for is kept under `anthropic`.

    Tools that Anthropic runs itself stay as they are.
    """
    if tool.get("type") not in (None, "custom"):
        return dict(tool)
    function: Json = {"name": required(tool, "name", "string", where)}
    if "description" in tool:
        function["description"] = tool["description"]
    function["parameters"] = required(tool, "input_schema", "object", where)
    if "strict" in tool:
        function["strict"] = tool["strict"]
    rest = {key: value for key, value in tool.items() if key not in _TOOL_MEMBERS}
    cache = {"cache_control": rest.pop("cache_control")} if "cache_control" in rest else {}
    return {"type": "function", "function": function} | cache | ({"anthropic": rest} if rest else {})


_TOOL_MEMBERS = frozenset({"type", "name", "description", "input_schema", "strict"})


def anthropic_tool(tool: Json) -> Json:
    """Anthropic's tool of a neutral one.

    Raises:
        BadRequest: a tool whose input is free text, which Anthropic has not.
    """
    if tool.get("type") == "custom":
        raise BadRequest(
            "The model that answers here has no tools with free text as input.",
            hint="Declare a function with parameters.",
        )
    if tool.get("type", "function") != "function":
        return tool
    function = required(tool, "function", "object", "tools[].")
    told: Json = {
        "name": required(function, "name", "string", "tools[].function."),
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    told |= {key: function[key] for key in ("description", "strict") if function.get(key) is not None}
    if tool.get("cache_control"):
        told["cache_control"] = tool["cache_control"]
    extras = tool.get("anthropic")
    return told | {k: v for k, v in extras.items() if k not in _TOOL_MEMBERS} if isinstance(extras, dict) else told


def choice_of(choice: Json) -> tuple[Any, bool]:
    """The neutral `tool_choice` of Anthropic's, and whether several calls at once are allowed."""
    kind = choice.get("type")
    parallel = choice.get("disable_parallel_tool_use") is not True
    if kind == "tool":
        return {"type": "function", "function": {"name": required(choice, "name", "string", "tool_choice.")}}, parallel
    known = {"auto": "auto", "any": "required", "none": "none"}
    if kind not in known:
        raise BadRequest("`tool_choice.type` must be auto, any, tool or none.", param="tool_choice.type")
    return known[kind], parallel


def anthropic_choice(request: Json) -> Json | None:
    """Anthropic's `tool_choice` of a neutral request; None where nothing was said of it.

    Raises:
        BadRequest: a choice among a part of the tools.
    """
    choice = request.get("tool_choice")
    known = {"auto": "auto", "required": "any", "none": "none"}
    told: Json | None = None
    if isinstance(choice, dict):
        function = choice.get("function")
        if choice.get("type") != "function" or not isinstance(function, dict):
            raise BadRequest(
                "`tool_choice` can only name one function for the model that answers here.",
                hint="Send auto, required, none or a function, and only the tools that may be called.",
            )
        told = {"type": "tool", "name": required(function, "name", "string", "tool_choice.function.")}
    elif choice is not None:
        if not isinstance(choice, str) or choice not in known:
            raise BadRequest("`tool_choice` must be auto, required, none or a function.", param="tool_choice")
        told = {"type": known[choice]}
    if request.get("parallel_tool_calls") is False and (told is None or told["type"] != "none"):
        told = (told or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return told


def input_of(arguments: Any) -> Json:
    """A tool's input of neutral arguments: what a model wrote, so what is no JSON object is kept under `arguments`.

    >>> input_of('{"city": "Bonn"}'), input_of(""), input_of("Bonn")
    ({'city': 'Bonn'}, {}, {'arguments': 'Bonn'})
    """
    if isinstance(arguments, dict):
        return arguments
    if not arguments:
        return {}
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        found = None
    return found if isinstance(found, dict) else {"arguments": arguments}


def call_id(raw: Any) -> str:
    """A tool call's id as Anthropic takes it; other providers' ids have dots and colons.

    >>> call_id("functions.weather:0")
    'functions_weather_0'
    """
    return _NOT_IN_AN_ID.sub("_", str(raw)) or "call"
