"""A stand-in provider: speaks OpenAI's chat completions on loopback, and answers as well as the prompt's words let it.

`python provider.py` serves until it is stopped, and prints its address. `POST /swap {"skills": {…}}` puts another model behind the same
name: other words suit it. Nothing is downloaded, and the story is the same at every run.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from perdure.testing.prompts import Desk, countries

DESK = Desk(countries(120)[1], {"briefly": 0.65, "pirate": 0.25, "city only": 0.95})


class Provider(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """A completion, or a swap."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        if self.path == "/swap":
            DESK.skills = request["skills"]
            return self._answer({"skills": DESK.skills})
        answered = DESK.answer(request["messages"])
        usage = {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48}
        choice = {"index": 0, "message": dict(answered.message), "finish_reason": "stop"}
        return self._answer({
            "id": "chatcmpl-stand-in", "object": "chat.completion", "created": 0, "model": request["model"],
            "choices": [choice], "usage": usage,
        })  # fmt: skip

    def _answer(self, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
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
