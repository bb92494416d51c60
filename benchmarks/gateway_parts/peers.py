"""The peers: each as its makers say that it is run in production, and forwarding only: no keys in a database, limits or guards."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from gateway_parts.load import Where
from gateway_parts.serving import Serving, free_port, node_with, python_with, ready, started

_HERE = Path(__file__).parent
_LITELLM = """model_list:
  - model_name: bench
    litellm_params:
      model: openai/gpt-x
      api_base: {upstream}/v1
      api_key: sk-none
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000004
general_settings:
  master_key: sk-bench
  proxy_batch_write_at: 60
  disable_error_logs: true
litellm_settings:
  request_timeout: 600
  set_verbose: false
  json_logs: true
"""
_LITELLM_ENV = {
    "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}  # fmt: skip
"""Of its page on production, but for what needs Postgres or Redis; and no look-up of prices over the network."""
_MLFLOW = """endpoints:
  - name: bench
    endpoint_type: llm/v1/chat
    model:
      provider: openai
      name: gpt-x
      config:
        openai_api_key: sk-none
        openai_api_base: {upstream}/v1
"""


def _httpx(stack: ExitStack, _: Path, upstream: str) -> Serving:
    python = python_with("httpx", "fastapi", "httpx", "uvicorn", "uvloop", "httptools")
    port = free_port()
    process, told = started(stack, [python, _HERE / "httpx_proxy.py", str(port), upstream])
    return ready(Serving("FastAPI + httpx", Where(f"http://127.0.0.1:{port}"), process.pid, slow=True), told)


def _portkey(stack: ExitStack, _: Path, upstream: str) -> Serving:
    package = node_with("portkey", "@portkey-ai/gateway")
    port = free_port()
    command = ["node", package / "build" / "start-server.js", f"--port={port}", "--headless"]
    process, told = started(stack, command, env={"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"})
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1", "authorization": "Bearer x"}
    where = Where(f"http://127.0.0.1:{port}", headers=headers)
    return ready(Serving("Portkey", where, process.pid, slow=True), told)


def _mlflow(stack: ExitStack, folder: Path, upstream: str) -> Serving:
    python = python_with("mlflow", "mlflow[gateway]>=3.17")
    port, config = free_port(), folder / "mlflow.yaml"
    config.write_text(_MLFLOW.format(upstream=upstream))
    command = [python.with_name("mlflow"), "gateway", "start", "--config-path", config, "--port", str(port), "--workers", "1"]  # fmt: skip
    env = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}:/usr/bin:/bin"}
    process, told = started(stack, command, env=env)
    return ready(Serving("MLflow gateway", Where(f"http://127.0.0.1:{port}"), process.pid, slow=True), told)


def _litellm(stack: ExitStack, folder: Path, upstream: str) -> Serving:
    # Without OpenTelemetry each of its requests tries to import it, which takes milliseconds; with httptools uvicorn is quicker.
    python = python_with("litellm", "litellm[proxy]>=1.106", "httptools", "opentelemetry-exporter-otlp")
    port, config = free_port(), folder / "litellm.yaml"
    config.write_text(_LITELLM.format(upstream=upstream))
    command = [python.with_name("litellm"), "--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]  # fmt: skip
    process, told = started(stack, command, env=_LITELLM_ENV)
    where = Where(f"http://127.0.0.1:{port}", headers={"authorization": "Bearer sk-bench"})
    return ready(Serving("LiteLLM", where, process.pid, slow=True), told)


PEERS: dict[str, Callable[[ExitStack, Path, str], Serving]] = {
    "httpx": _httpx, "portkey": _portkey, "mlflow": _mlflow, "litellm": _litellm,
}  # fmt: skip


def chosen(names: str) -> list[str]:
    """The peers that `--peers` names: all, none, or some with commas between them."""
    if names in ("all", "none"):
        return list(PEERS) if names == "all" else []
    asked = names.split(",")
    unknown = [name for name in asked if name not in PEERS]
    if unknown:
        sys.exit(f"There is no peer {', '.join(unknown)}: choose among {', '.join(PEERS)}.")
    return asked
