"""Contracts compiled: one declaration checks a request in microseconds and a million rows by column.

`compile_contract` (in `compiled`) is the way in. `verdict` asks Pydantic, whose word is final;
`structs` and `requests` are the fast path of one request; `columns`, `masks` and `frames` that of a
batch. A fast path may only accept: what it would reject is judged again by `verdict`.
"""

from __future__ import annotations

from perdure.engines.contracts.compiled import CompiledContract, compile_contract
from perdure.engines.contracts.frames import CheckedFrame, FrameError
from perdure.engines.contracts.requests import DecodedRequest
from perdure.engines.contracts.verdict import RejectedRows

__all__ = ["CheckedFrame", "CompiledContract", "DecodedRequest", "FrameError", "RejectedRows", "compile_contract"]
