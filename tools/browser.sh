#!/usr/bin/env bash
# Pages are tested in a real Chromium, the system's own. Installs Debian's where it may; elsewhere the
# tests of pages are skipped with this reason, but in continuous integration they must run.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing chromium"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
echo "No Chromium here: tests of pages are skipped. On Debian and Ubuntu: sudo apt-get install chromium" >&2
[ -z "${CI:-}" ]
