#!/usr/bin/env bash
# LightGBM needs the OpenMP runtime of GCC, which small Linux images lack. Installs it where it may,
# otherwise says what to run. Argument: a Python interpreter.
set -euo pipefail
[ "$(uname -s)" = Linux ] || exit 0
"$1" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing libgomp1"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libgomp1 >/dev/null
  exit 0
fi
echo "LightGBM needs libgomp. On Debian and Ubuntu: sudo apt-get install libgomp1; on Fedora: sudo dnf install libgomp" >&2
exit 1
