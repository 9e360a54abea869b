#!/bin/sh
# The wheel in an environment of its own, with the sources out of reach: tests of all that reads files of the package.
# That it holds the same Python as the sources is tested in tests/test_packaging.py.
set -eu
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work" .
"$python" -m venv "$work/env"
"$work/env/bin/pip" install --quiet -c constraints.txt torch
"$work/env/bin/pip" install --quiet -c constraints.txt "$(ls "$work"/*.whl)[dev]"
# Only the tests travel: pet/ and the four folders stay behind.
cp -r tests pyproject.toml "$work"
cd "$work"
"$work/env/bin/python" -c 'import pathlib, pet; assert "site-packages" in pet.__file__, pet.__file__'
"$work/env/bin/pet" pipelines
"$work/env/bin/pytest" tests/test_packaging.py tests/test_pipelines.py tests/cli tests/prompts tests/reports tests/starting \
    tests/using -m "not slow" -n logical --dist loadfile --no-loadscope-reorder
