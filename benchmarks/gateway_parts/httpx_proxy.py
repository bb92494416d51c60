"""A peer: what a team writes first. FastAPI and httpx, one shared client, bytes passed as they come; no key, no record.

Run in an environment of its own: `python httpx_proxy.py PORT UPSTREAM`.
"""

import sys
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

PORT, UPSTREAM = int(sys.argv[1]), sys.argv[2]


@asynccontextmanager
async def lifespan(app):
    limits = httpx.Limits(max_connections=512, max_keepalive_connections=512)
    async with httpx.AsyncClient(base_url=UPSTREAM, timeout=600, limits=limits) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/chat/completions")
async def proxy(request: Request):
    """Pass one request on and its answer back."""
    client = request.app.state.client
    headers = {"content-type": "application/json"}
    asked = client.build_request("POST", "/v1/chat/completions", content=await request.body(), headers=headers)
    answer = await client.send(asked, stream=True)
    kind = answer.headers["content-type"]
    if kind.startswith("text/event-stream"):

        async def pieces():
            async for piece in answer.aiter_raw():
                yield piece
            await answer.aclose()

        return StreamingResponse(pieces(), answer.status_code, media_type=kind)
    content = await answer.aread()
    await answer.aclose()
    return Response(content, answer.status_code, media_type=kind)


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, loop="uvloop", http="httptools", access_log=False, log_level="warning")
