#!/bin/sh
# Generate generated/ from the protos; with --check, fail if it differs from them.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv-generate/bin:$PATH"

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
buf generate --output "$made" 2>"$made/log" || { cat "$made/log" >&2; exit 1; }
touch "$made/generated/relevo/py.typed"

if [ "${1:-}" = --check ]; then
  diff -r --exclude=__pycache__ generated "$made/generated" ||
    { echo "generated/ differs from the protos: run 'make generate'" >&2; exit 1; }
else
  rm -rf generated
  cp -r "$made/generated" generated
fi
