#!/usr/bin/env bash
# Adapters for Redis are tested on a real one. Installs Debian's where it may; elsewhere those tests are skipped
# with this reason, but in continuous integration they must run.
set -euo pipefail
for name in redis-server valkey-server; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing redis-server"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null && exit 0
fi
echo "No Redis here: its adapters are not tested. On Debian and Ubuntu: sudo apt-get install redis-server" >&2
[ -z "${CI:-}" ]
