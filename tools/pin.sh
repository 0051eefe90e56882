#!/bin/sh
# Pins what pyproject.toml asks for, with hashes, for Python 3.11 to 3.13 on every platform. Needs uv and the network.
# No index address is written: whoever installs chooses where from.
set -eu
cd "$(dirname "$0")/.."
for extra in edge bridge hid pcsc terminal office demo scale test; do
    # Build tools are pinned too, so that the project itself installs without isolation and without the network.
    uv pip compile pyproject.toml --extra "$extra" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet --output-file "requirements/$extra.txt" "$@"
done
