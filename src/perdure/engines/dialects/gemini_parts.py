"""Messages between the neutral form and Gemini's contents and parts.

What surprised us: a Gemini call of a function may have no id, so answers to it are matched by its name and place; and
Gemini 3 refuses a history whose calls lack the signature of the thought that led to them, so it travels with the call as
`extra_content.google.thought_signature`, the member in which Google's own OpenAI-compatible endpoint sends it. Where a
client lost it, or another provider made the call, Google's word for such histories stands in its place.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from perdure.core.errors import BadRequest
from perdure.engines.dialects.checks import objects

Json = dict[str, Any]
MADE_ID = "call_gemini_"
"""Ids that begin so were made here: Gemini gave none, and is given none back."""
UNSIGNED = "skip_thought_signature_validator"
"""Source: ai.google.dev, "Thought signatures", histories that were not made by Gemini."""
_DATA_URL = re.compile(r"data:(?P<mime>[\w.+/-]+)(?:;[\w=.-]+)*;base64,(?P<data>.*)", re.DOTALL)
_THIRD = re.compile(r"(?:.*/)?gemini-(?:[3-9]|\d\d)")
_ADDRESSES = ("https://", "http://", "gs://")


def is_third(model: str) -> bool:
    """Whether a model is of Gemini's third generation or later, which wants signatures and levels of thinking.

    >>> is_third("gemini-3-pro-preview"), is_third("gemini-2.5-flash"), is_third("models/gemini-10")
    (True, False, True)
    """
    return _THIRD.match(model) is not None


def contents_of(request: Json, *, signed: bool) -> tuple[list[Json], list[Json]]:
    """System parts and contents; turns of one side are one, as Gemini wants them to alternate.

    Args:
        request: neutral.
        signed: calls without a signature get Google's word for that.

    Raises:
        BadRequest: a role or a part that Gemini has no word for, or a tool's result without its call.
    """
    system: list[Json] = []
    turns: list[Json] = []
    names: dict[str, str] = {}
    for message in objects(request, "messages"):
        role = message.get("role")
        if role in ("system", "developer"):
            system += _parts(message.get("content"))
            continue
        if role == "assistant":
            side, parts = "model", list(_answer(message, names, signed=signed))
        elif role == "tool":
            side, parts = "user", list(_result(message, names))
        elif role == "user":
            side, parts = "user", _parts(message.get("content"))
        else:
            raise BadRequest(
                f"The role {str(role)[:40]!r} is not known to the model that answers here.",
                hint="Use system, developer, user, assistant or tool.",
            )
        if parts and turns and turns[-1]["role"] == side:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": side, "parts": parts})
    if not turns:
        raise BadRequest(
            "The request holds no message to answer.", hint="Send a message of the user.", param="messages"
        )
    return system, turns


def _answer(message: Json, names: dict[str, str], *, signed: bool) -> Iterator[Json]:
    texts = _parts(message.get("content"))
    signature = signature_of(message)
    if signature and texts:
        texts[-1]["thoughtSignature"] = signature
    yield from texts
    for place, call in enumerate(objects(message, "tool_calls")):
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadRequest("A tool call has no function with a name.", param="messages")
        told: Json = {"name": function["name"], "args": _arguments(function.get("arguments"))}
        name = str(call.get("id") or "")
        names[name] = function["name"]
        if name and not name.startswith(MADE_ID):
            told["id"] = name
        part: Json = {"functionCall": told}
        signature = signature_of(call) or (UNSIGNED if signed and place == 0 else "")
        if signature:
            part["thoughtSignature"] = signature
        yield part


def signature_of(told: Json) -> str:
    """The signature that a neutral message or tool call carries; empty without one."""
    extra = told.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


def signed(told: Json, part: Json) -> Json:
    """A neutral message or tool call with the signature of a part of Gemini's, where it has one."""
    signature = part.get("thoughtSignature")
    return {**told, "extra_content": {"google": {"thought_signature": signature}}} if signature else told


def call_id(call: Json, answer_id: str, place: str) -> str:
    """Gemini's own id of a call, else one that the same answer always gets."""
    own = call.get("id")
    if isinstance(own, str) and own:
        return own
    seed = answer_id.encode() or msgspec.json.encode(call, order="sorted")
    return MADE_ID + blake2b(seed + place.encode(), digest_size=12).hexdigest()


def _arguments(text: Any) -> Json:
    try:
        found = msgspec.json.decode(text or "{}") if isinstance(text, str) or not text else text
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest("The arguments of a tool call are no JSON.", param="messages") from error
    if not isinstance(found, dict):
        raise BadRequest("The arguments of a tool call are no JSON object.", param="messages")
    return found


def _result(message: Json, names: dict[str, str]) -> Iterator[Json]:
    name = str(message.get("tool_call_id") or "")
    if name not in names:
        raise BadRequest(
            "A tool's result has a `tool_call_id` that no tool call before it has.",
            hint="Send the assistant's message with its `tool_calls` before the results.",
            param="messages",
        )
    parts = _parts(message.get("content"))
    text = "".join(part.get("text", "") for part in parts)
    told: Json = {"name": names[name], "response": {"error": text} if message.get("is_error") else _response(text)}
    if not name.startswith(MADE_ID):
        told["id"] = name
    yield {"functionResponse": told}
    yield from (part for part in parts if "text" not in part)


def _response(text: str) -> Json:
    """An object as it is: Gemini takes it whole as the function's output; all else under `output`."""
    if text.lstrip().startswith("{"):
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    return {"output": text}


def _parts(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    if content is not None and not isinstance(content, list):
        raise BadRequest("A message's content must be a string or a list of parts.", param="messages")
    return [part for each in content or () if (part := _part(each)) is not None]


def _part(part: Any) -> Json | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        text = part.get(kind)
        return {"text": text} if isinstance(text, str) and text else None
    if kind == "image_url":
        image = part.get("image_url")
        return _by_address(image.get("url") if isinstance(image, dict) else image, "image_url.url")
    if kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        audio = part["input_audio"]
        return {"inlineData": {"mimeType": f"audio/{audio.get('format') or 'wav'}", "data": audio.get("data") or ""}}
    if kind == "file" and isinstance(part.get("file"), dict):
        file = part["file"]
        return _by_address(file.get("file_data") or file.get("file_id"), "file.file_data")
    source = part.get("source") if isinstance(part, dict) else None
    if kind == "document" and isinstance(source, dict) and source.get("type") == "text":
        return {"text": str(source.get("data") or "")}
    raise BadRequest(
        f"Content of type {str(kind)[:40]!r} cannot be sent to the model that answers here.",
        hint="Send text, images, audio or files.",
        param="messages",
    )


def _by_address(address: Any, where: str) -> Json:
    """Data in the request, or a file at an address: Google's file API, its cloud storage, or the web."""
    if isinstance(address, str):
        inline = _DATA_URL.fullmatch(address)
        if inline is not None:
            return {"inlineData": {"mimeType": inline["mime"], "data": inline["data"]}}
        if address.startswith(_ADDRESSES):
            kind, _ = mimetypes.guess_type(address.partition("?")[0])
            return {"fileData": {"fileUri": address} | ({"mimeType": kind} if kind else {})}
    raise BadRequest(
        f"`{where}` is neither an address nor base64 data.",
        hint="Send https://…, gs://… or data:image/png;base64,….",
        param="messages",
    )
