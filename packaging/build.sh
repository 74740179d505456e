#!/usr/bin/env bash
# Build what people install, into dist/: the wheel, the zipapp (needs Python), the binary (needs only Debian).
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv"
pip=("$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
# What goes into the packages comes with the hashes of the lock.
"${pip[@]}" --require-hashes -r requirements.lock
"${pip[@]}" --require-hashes -r requirements.lock --target "$work/packages"
"${pip[@]}" -r packaging/requirements.txt
rm -rf dist build/lib build/bdist.* ./*.egg-info
"$work/venv/bin/python" -m build --wheel --outdir dist . >"$work/wheel.log" 2>&1 || { cat "$work/wheel.log" >&2; exit 1; }
rm -rf build/lib build/bdist.* ./*.egg-info

"$work/venv/bin/shiv" --quiet --compressed --reproducible --python '/usr/bin/env python3' \
    --entry-point zitilite:main --site-packages "$work/packages" --output-file dist/zitilite.pyz --no-deps dist/zitilite-*.whl

"$work/venv/bin/pyinstaller" --log-level ERROR --onefile --name zitilite --strip \
    --distpath dist --workpath "$work/build" --specpath "$work" --paths . \
    --add-data "$PWD/static:static" --add-data "$PWD/domain/config_types.json:domain" \
    app.py
ls -l dist
