#!/usr/bin/env bash
# What a CI server does with a perdure project: check.sh pull-request | check.sh main
#
#   BASE     commit that a pull request is compared with (default: origin/main)
#   PROJECT  folder of perdure.toml within the repository (default: the repository itself)
#   ALLOW    risks that somebody accepted, such as breaking,loosened
#   SUMMARY  file that the Markdown is added to (default: standard output)
#
# Run it in the repository's folder. github-workflow.yml has the same steps for GitHub Actions.
set -euo pipefail
export BASE="${BASE:-origin/main}" PROJECT="${PROJECT:-.}" ALLOW="${ALLOW:-}"
export SUMMARY="${SUMMARY:-/dev/stdout}"

install() (
  command -v perdure > /dev/null || python -m pip install perdure
)

base() (
  rm -rf .base
  git worktree prune
  git worktree add --detach .base "$BASE"
)

check() (
  code=0
  perdure check --ci --project "$PROJECT" --base ".base/$PROJECT" --allow "$ALLOW" --out .summary.md || code=$?
  if [ -f .summary.md ]; then cat .summary.md >> "${SUMMARY:-$GITHUB_STEP_SUMMARY}"; fi
  exit "$code"
)

tests() (
  cd "$PROJECT"
  python -m pytest
)

plan() (
  perdure plan --project "$PROJECT"
)

steps() {
  for step in "$@"; do
    echo "== $step"
    "$step"
  done
}

case "${1:-}" in
  pull-request) steps install base check tests ;;
  main) steps install tests plan ;;
  *) echo "usage: check.sh pull-request | main" >&2; exit 2 ;;
esac
