#!/usr/bin/env bash
# Documents that are rows are tested on a real PostgreSQL. Installs Debian's where it may; elsewhere those tests are skipped
# with this reason, but in continuous integration they must run.
set -euo pipefail
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && exit 0
command -v initdb >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing postgresql"
  apt-get update -qq
  # No cluster of the machine's own is made: the tests make theirs.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null && exit 0
fi
echo "No PostgreSQL here: rows of one as documents are not tested. On Debian and Ubuntu: sudo apt-get install postgresql" >&2
[ -z "${CI:-}" ]
