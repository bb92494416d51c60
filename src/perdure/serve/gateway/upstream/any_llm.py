"""Whatever any-llm-sdk can call as an upstream: OpenAI's chat completions through it (extra `any-llm`).

For providers that are neither OpenAI-compatible nor Anthropic's nor Gemini's. The libraries below it cost milliseconds of
CPU a call, some of them a second of import: providers that HTTP reaches belong on `http`. Retries of those libraries are
turned off where they can be: the gateway's own are budgeted and seen.

What surprised us: SDKs end a stream whose connection was cut like one that is whole. Only a reason to finish makes it whole
here.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from typing import Any

from perdure.core.errors import BadRoute, MissingExtra, UpstreamBad, UpstreamCut
from perdure.serve.gateway.upstream.answer import Answer
from perdure.serve.gateway.upstream.protocols import HeaderPairs
from perdure.serve.gateway.upstream.pushed import DONE, EVENTS, Pushed, Refusal, chat_request, event

_STATUS = {
    "AuthenticationError": 401,
    "ContentFilterError": 400,
    "ContextLengthExceededError": 400,
    "GatewayTimeoutError": 504,
    "InsufficientFundsError": 402,
    "InvalidRequestError": 400,
    "MissingApiKeyError": 401,
    "ModelNotFoundError": 404,
    "RateLimitError": 429,
    "UnsupportedParameterError": 400,
}
"""Status of an error that names none itself, by the name of its class; others are 502."""
_CODES = {
    "ContentFilterError": "content_filter",
    "ContextLengthExceededError": "context_length_exceeded",
    "ModelNotFoundError": "model_not_found",
}


class AnyClient:
    """Calls one provider by any-llm-sdk; implements `protocols.Client`.

    Args:
        provider: its name in any-llm, such as `mistral`.
        secret: its key; empty: any-llm looks for the provider's own variable in the environment.
        max_connections: at most so many calls at once; further ones wait, within their `first_s`.

    Raises:
        BadRoute: any-llm does not know the provider, lacks its library, or has no key for it.
        MissingExtra: any-llm-sdk is not installed.
    """

    def __init__(self, provider: str, secret: str = "", *, max_connections: int = 512) -> None:
        try:
            self._library = importlib.import_module("any_llm")
        except ImportError as error:
            raise MissingExtra("any-llm", needed_for="Calling providers by any-llm (dialect `any`)") from error
        self._name = provider
        self._secret = secret
        self._provider = _provider(self._library, provider, secret)
        self._places = asyncio.Semaphore(max_connections)
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(
        self,
        path: str,
        headers: HeaderPairs,  # noqa: ARG002 - the library makes its own
        body: bytes,
        *,
        first_s: float,
        idle_s: float,
    ) -> Answer:
        """Answer a chat completion; see `protocols.Client.send`. `headers` are the library's own affair.

        Raises:
            UpstreamError: no answer in time, or one that broke.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + first_s

        def stop() -> None:
            task.cancel()

        pushed = Pushed(self._name, idle_s, stop)
        task = loop.create_task(self._call(path, body, pushed))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        await pushed.answer.begun(deadline)
        return pushed.answer

    async def close(self) -> None:
        """Wait for the calls under way; if cancelled, cancel them."""
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whatever it was, the reader was told that the answer was cut

    async def _call(self, path: str, body: bytes, pushed: Pushed) -> None:
        try:
            request = chat_request(path, body)
            async with self._places:
                if request.get("stream"):
                    await self._stream(request, pushed)
                else:
                    answer = await self._provider.acompletion(**request)
                    pushed.whole(200, _json(answer))
        except Refusal as refusal:
            pushed.refuse(refusal)
        except self._library.AnyLLMError as error:
            self._refuse(error, pushed)
        except (OSError, TypeError, ValueError) as error:
            # Libraries below any-llm, and arguments that none of them knows.
            failed = UpstreamCut if isinstance(error, OSError) else UpstreamBad
            pushed.fail(failed(f"The call of {self._name} by any-llm broke: {type(error).__name__}."))
        finally:
            pushed.fail(UpstreamCut(f"The call of {self._name} by any-llm ended before its answer was whole."))

    async def _stream(self, request: dict[str, Any], pushed: Pushed) -> None:
        chunks: AsyncIterator[Any] = await self._provider.acompletion(**request)
        finished = False
        try:
            async for chunk in chunks:
                finished = finished or any(choice.finish_reason for choice in chunk.choices)
                if not pushed.answer.status:
                    pushed.begin(200, EVENTS)
                pushed.push(event(_json(chunk)))
                await pushed.room()
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        if finished:
            pushed.push(DONE)
            pushed.end()

    def _refuse(self, error: Any, pushed: Pushed) -> None:
        kind = type(error).__name__
        if pushed.answer.status:
            pushed.fail(UpstreamCut(f"{self._name} ended its stream with {kind}."))
            return
        status = getattr(error, "status_code", None)
        if not isinstance(status, int) or status < 400:
            status = _STATUS.get(kind, 502)
        message = str(error)
        if self._secret:
            message = message.replace(self._secret, "…")
        wait = getattr(error, "retry_after", None)
        headers = {b"retry-after": str(wait).encode("latin-1", "replace")} if wait else {}
        pushed.refuse(Refusal(status, message, getattr(error, "code", None) or _CODES.get(kind, ""), headers))


def _json(answer: Any) -> bytes:
    text: str = answer.model_dump_json(exclude_none=True)
    return text.encode()


def _provider(library: Any, provider: str, secret: str) -> Any:
    create = library.AnyLLM.create
    options = {"api_key": secret or None, "unified_exceptions": True}
    try:
        try:
            return create(provider, **options, max_retries=0)
        except library.UnsupportedParameterError:
            return create(provider, **options)
    except library.UnsupportedProviderError as error:
        raise BadRoute(
            f"any-llm knows no provider {provider!r}.", hint="Use one of its names, such as mistral."
        ) from error
    except library.MissingApiKeyError as error:
        raise BadRoute(
            f"The provider {provider!r} needs a key.",
            hint=f"Name the variable that holds it in `key_env`, or set {error.env_var_name}.",
        ) from error
    except ImportError as error:
        raise BadRoute(
            f"any-llm lacks the library of the provider {provider!r}.",
            hint=f"Run: pip install 'any-llm-sdk[{provider}]'",
        ) from error
