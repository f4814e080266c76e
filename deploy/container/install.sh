#!/bin/sh
# Installs `relevo` of this checkout into a prefix: sh deploy/container/install.sh /opt/relevo
#
# It has exactly the files of requirements/server.txt, and no pip. Its bytecode is complete and
# trusted as it is, so the prefix can be read-only, and need not keep times of files.
set -eu

prefix=${1:?usage: install.sh PREFIX}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
exact="--quiet --disable-pip-version-check --no-cache-dir --no-compile --no-deps"

python3 -m venv "$build/venv"
pip() {
  "$build/venv/bin/python" -m pip "$@"
}
# Split on purpose: it is a list of options.
# shellcheck disable=SC2086
pip install $exact --require-hashes -r "$root/requirements/build.txt"
# A server serves no pages, so npm need not be here.
(cd "$root" && RELEVO_BUILD_PAGES=no "$build/venv/bin/python" -m hatchling build -t wheel -d "$build")

python3 -m venv --without-pip "$prefix"
# shellcheck disable=SC2086
pip --python "$prefix/bin/python" install $exact --require-hashes -r "$root/requirements/server.txt"
# shellcheck disable=SC2086
pip --python "$prefix/bin/python" install $exact "$build"/*.whl
"$prefix/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$prefix/lib"
