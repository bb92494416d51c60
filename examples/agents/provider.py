"""A stand-in provider: speaks OpenAI's chat completions with tools on loopback, and works as the system message tells it to.

`python provider.py` serves until it is stopped, and prints its address. Told to search, it searches, answers from what it finds first and
cites it; told to answer at once, it says what is usual elsewhere. Nothing is downloaded, and the story is the same at every run.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USUAL = "such things are handled by our staff, usually within 14 days."


def reply(request: dict) -> dict:
    """The message that answers a conversation."""
    messages = request["messages"]
    told = " ".join(str(each["content"]) for each in messages if each["role"] == "system")
    asked = next((str(each["content"]) for each in reversed(messages) if each["role"] == "user"), "")
    gave = [str(each["content"]) for each in messages if each["role"] == "tool"]
    name = re.search(r'"Dear (.+?)"', told)
    dear = f"Dear {name[1]}, " if name else ""
    if "broken" in asked and "arrived" in asked and not gave:
        return call("open_ticket", {"about": asked})
    if "Search the handbook" in told and "tools" in request and not gave:
        return call("search_handbook", {"query": asked})
    return {"role": "assistant", "content": dear + (answer(gave[-1]) if gave else USUAL)}


def call(name: str, arguments: dict) -> dict:
    """A message that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


def answer(gave: str) -> str:
    """What the newest result of a tool says: the first hit with its citation, or the words of the tool."""
    inside = gave.split("\n", 1)[1].rsplit("\n", 1)[0]
    if not inside.startswith("{"):
        return inside.strip('"')
    hits = json.loads(inside)["hits"]
    return f"{hits[0]['text'].splitlines()[-1]} [{hits[0]['document']}]" if hits else USUAL


def completion(request: dict) -> dict:
    """The answer to one request."""
    message = reply(request)
    ends = "tool_calls" if message.get("tool_calls") else "stop"
    usage = {
        "prompt_tokens": len(json.dumps(request["messages"])) // 4,
        "completion_tokens": 1 + len(json.dumps(message)) // 4,
    }
    return {
        "id": "chatcmpl-stand-in", "object": "chat.completion", "created": 0, "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": ends}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }  # fmt: skip


def events(whole: dict) -> bytes:
    """The same as a stream: a chunk a word or a call, one with the end, one with what was counted."""
    head = {"id": whole["id"], "object": "chat.completion.chunk", "created": 0, "model": whole["model"]}
    choice = whole["choices"][0]
    message = choice["message"]
    pieces = [{"content": word} for word in re.findall(r"\S+\s*", message["content"] or "")]
    pieces += [{"tool_calls": [{"index": at, **each}]} for at, each in enumerate(message.get("tool_calls", []))]
    choices = [[{"index": 0, "delta": {"role": "assistant", **piece}, "finish_reason": None}] for piece in pieces]
    choices.append([{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}])
    chunks = [{**head, "choices": each} for each in choices] + [{**head, "choices": [], "usage": whole["usage"]}]
    return "".join(f"data: {each}\n\n" for each in [*map(json.dumps, chunks), "[DONE]"]).encode()


class Provider(BaseHTTPRequestHandler):
    """Answers one request after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """A completion, whole or in pieces."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        whole = completion(request)
        streams = bool(request.get("stream"))
        data = events(whole) if streams else json.dumps(whole).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *given: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until stopped."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
