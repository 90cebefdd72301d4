#!/usr/bin/env bash
# Traces that pass through LangSmith's own SDKs and this crate, all received by one LocalLangSmith on loopback.
# Needs python3 (3.10 or later, with venv), node (20 or later) with npm, and cargo. The SDKs are installed below
# target/interop, once, and again when the versions asked for change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=${CARGO_TARGET_DIR:-target}/interop
mkdir -p "$work"/{python,javascript}
work=$(cd "$work" && pwd)
# Nothing here is meant for anybody's LangSmith, and nothing but the installation leaves this machine.
unset "${!LANGSMITH_@}" "${!LANGCHAIN_@}" "${!OTEL_@}"

# Programs go where their packages are: Node finds them in no other way.
cp tests/interop/python/*.{py,txt,json} "$work/python"
cp tests/interop/javascript/*.{js,json} "$work/javascript"

if ! cmp -s "$work"/python/{requirements,installed}.txt; then
    echo "installing for Python: $(tr '\n' ' ' <"$work/python/requirements.txt")" >&2
    rm -rf "$work/python/venv"
    python3 -m venv "$work/python/venv"
    "$work/python/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$work/python/requirements.txt"
    cp "$work"/python/{requirements,installed}.txt
fi
if ! cmp -s "$work"/javascript/{package,installed}.json; then
    echo "installing for JavaScript: $(grep -o '"langsmith".*' "$work/javascript/package.json")" >&2
    rm -rf "$work/javascript/node_modules"
    npm install --prefix "$work/javascript" --silent --no-audit --no-fund --no-package-lock
    cp "$work"/javascript/{package,installed}.json
fi

exec cargo test --quiet --test interop -- "$work"
