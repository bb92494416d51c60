#!/usr/bin/env bash
# Takes the console's libraries for browsers from their packages, at the versions below, and writes down what each file is.
# Needs npm, and only for whoever updates: nothing of it runs when perdure is built, tested or used.
set -euo pipefail
cd "$(dirname "$0")/.."
into=src/perdure/surface/console/static/vendor
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

# name, version, SHA-512 of the package as npm tells it, licence, then the files
take() {
  local name=$1 version=$2 sha512=$3 licence=$4
  shift 4
  local short=${name%.org}
  local folder=$into/$short-$version
  npm pack --silent --pack-destination "$made" "$name@$version" > /dev/null
  local packed=$made/$name-$version.tgz
  if [ "$(openssl dgst -sha512 -binary "$packed" | openssl base64 -A)" != "$sha512" ]; then
    echo "$name $version is not the package that was vendored: look at it before you change its digest here." >&2
    exit 1
  fi
  rm -rf "$into/$short"-*
  mkdir -p "$folder"
  printf '\n[[library]]\nname = "%s"\nversion = "%s"\nlicence = "%s"\nfolder = "%s"\n\n[library.sha256]\n' \
    "$name" "$version" "$licence" "$short-$version" >> "$made/vendored.toml"
  for file in LICENSE "$@"; do
    tar -xzOf "$packed" "package/$file" > "$folder/${file##*/}"
    printf '"%s" = "%s"\n' "${file##*/}" "$(sha256sum "$folder/${file##*/}" | cut -d' ' -f1)" >> "$made/vendored.toml"
  done
}

echo '# What the console ships of others, as it came out of their packages. Written by tools/vendor.sh.' > "$made/vendored.toml"
take htmx.org 4.0.1 oF7JgXhDW9UXCy/k1ZYFUQgzu/rm19ORWPSPNL91vPluB2PB9+MV55tyQdH/w7o2EAbTYUG5SDW1R60mdkdqGg== \
  0BSD dist/htmx.min.js dist/ext/hx-sse.min.js
take uplot 1.6.32 KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw== \
  MIT dist/uPlot.iife.min.js dist/uPlot.min.css
cp "$made/vendored.toml" "$into/vendored.toml"
