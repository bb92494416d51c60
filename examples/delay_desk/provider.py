"""A stand-in for a model that plays the desk: speaks OpenAI's chat completions on loopback, by a rule, so that the story is the same each time.

`python provider.py` serves until it is stopped, and prints its address. Asked with tools it calls them one after the other, reads what they
gave, and gives its result; asked without it writes a sentence. It believes what the tools say, as a model would.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

_LATE_MIN = re.compile(r"If it is ([\d.]+) minutes")
_ASKED = re.compile(r"planned_min=([\d.]+) flight=(\{.*\})", re.DOTALL)
_RESULT = re.compile(r'<tool_result tool="(\w+)"[^>]*>\n(.*)\n</tool_result>', re.DOTALL)


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """The message of one completion."""
    if not body.get("tools"):
        asked = str(body["messages"][-1]["content"])
        return {
            "content": f"Dear passengers: {asked.removeprefix('Tell passengers of ').replace(' in one sentence:', ' has')}"
        }
    told = " ".join(str(each["content"]) for each in body["messages"] if each["role"] in ("system", "user"))
    planned, flight = _ASKED.search(told).groups()
    called = {call["function"]["name"] for each in body["messages"] for call in each.get("tool_calls") or ()}
    return _desk(json.loads(flight), float(planned), float(_LATE_MIN.search(told)[1]), called, _gave(body["messages"]))


def _desk(
    flight: dict[str, Any], planned: float, late: float, called: set[str], gave: dict[str, Any]
) -> dict[str, Any]:
    if "predict_air_time" not in gave:
        return _calls(("predict_air_time", flight), ("get_weather_now", {"origin": flight["origin"]}))
    predicted, weather = gave["predict_air_time"], gave.get("get_weather_now", {})
    minutes, over = float(predicted["value"]), float(predicted["value"]) - planned
    if over >= late and "send_notice" not in called:
        text = f"Your flight will be in the air for {minutes:.0f} minutes, {over:.0f} more than planned."
        return _calls(("send_notice", {"flight_id": flight["flight_id"], "text": text}))
    first = predicted["explanation"]["contributions"][0]
    result = {
        "minutes": round(minutes, 1),
        "because": f"{first['feature']} adds {first['adds']:+.1f} minutes",
        "gust_mph": (weather.get("values") or {}).get("gust_mph"),
        "notice": str(gave.get("send_notice", "refused" if "send_notice" in called else "none")),
    }
    return _calls(("final_result", result))


def _calls(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    made = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for n, (name, given) in enumerate(calls)
    ]
    return {"content": None, "tool_calls": made}


def _gave(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Tool → what it gave last."""
    found: dict[str, Any] = {}
    for each in messages:
        for name, text in _RESULT.findall(str(each["content"])) if each["role"] == "tool" else ():
            try:
                found[name] = json.loads(text)
            except ValueError:
                found[name] = text
    return found


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", **answer(body)}
    asked, said = len(json.dumps(body["messages"])), len(json.dumps(message))
    usage = {"prompt_tokens": asked // 4, "completion_tokens": said // 4, "total_tokens": asked // 4 + said // 4}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    return {
        "id": "chatcmpl-stand-in",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            data = json.dumps(_completion(json.loads(await reader.readexactly(length)))).encode()
            told = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
            writer.write(told.encode() + data)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until stopped."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
