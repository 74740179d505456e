#!/usr/bin/env bash
# Try what build.sh made, as somebody who just got it: start, make an identity, enroll it, stop.
# Also: `pip install` of the wheel in an empty environment, the Dockerfile's steps, the systemd unit.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# try NAME COMMAND…: run the program through its first five minutes
try() {
    local name=$1 data=$work/$1
    shift
    "$@" --version >/dev/null
    "$@" run --data "$data" --listen 127.0.0.1:0 --advertise 127.0.0.1 --admin-password smoke-secret >"$work/$name.out" 2>"$work/$name.err" &
    server=$!
    for _ in $(seq 300); do
        grep -q '^console ' "$work/$name.out" && break
        kill -0 "$server" 2>/dev/null || { cat "$work/$name.out" "$work/$name.err" >&2; return 1; }
        sleep 0.1
    done
    local url
    url=$(sed -n 's/^console *\(https:[^ ]*\)\/.*/\1/p' "$work/$name.out")
    curl -sSk "$url/edge/client/v1/version" | grep -q '"path":"/edge/client/v1"'
    curl -sSk -H 'Accept: text/html' "$url/" | grep -qi '<!doctype html>'
    "$@" identity create box-1 --data "$data" --output jwt >"$work/$name.jwt"
    "$@" enroll "$work/$name.jwt" --out "$work/$name.json" >/dev/null
    grep -q '"ztAPI"' "$work/$name.json"
    "$@" attempt list --data "$data" | grep -q "'box-1' enrolled by ott"
    echo "a good passphrase" >"$work/passphrase"
    "$@" backup "$work/$name.age" --data "$data" --passphrase-file "$work/passphrase" >/dev/null
    "$@" restore --check "$work/$name.age" --passphrase-file "$work/passphrase" | grep -q 'can be restored'
    "$@" doctor --data "$data" >/dev/null || [ $? -eq 1 ] # a fresh one is told to set up backups
    kill "$server"
    wait "$server" || { cat "$work/$name.err" >&2; return 1; }
    server=
    echo "ok: $name"
}

python=${PYTHON:-python3}
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check dist/zitilite-*.whl
top=$(cd "$work/venv"/lib/python3*/site-packages && ls -d api app.py cli config.py certs domain models.py pki.py wire 2>/dev/null || true)
[ -z "$top" ] || { echo "these are at the top of site-packages: $top" >&2; exit 1; }
try wheel "$work/venv/bin/zitilite"
try module "$work/venv/bin/python" -m zitilite
export SHIV_ROOT=$work/shiv
try zipapp "$python" dist/zitilite.pyz
try binary env -i TMPDIR="$work" "$root/dist/zitilite"

# The binary on a machine with nothing but the C library: its own folder as the root of the file system.
bare=$work/bare
if unshare --user --map-root-user true 2>/dev/null; then
    mkdir -p "$bare"/{tmp,data,proc,dev,etc}
    cp dist/zitilite "$bare/"
    libraries=$(ldd dist/zitilite | grep -o '/[^ ]*' | sort -u)
    extra=$(find /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib/aarch64-linux-gnu -maxdepth 1 \
        \( -name 'libm.so.6' -o -name 'librt.so.1' -o -name 'libutil.so.1' -o -name 'libpthread.so.0' -o -name 'libgcc_s.so.1' -o -name 'libnss_files.so.2' -o -name 'libresolv.so.2' \) 2>/dev/null || true)
    for file in $libraries $extra; do
        mkdir -p "$bare$(dirname "$file")"
        cp -L "$file" "$bare$file"
    done
    unshare --user --map-root-user chroot "$bare" /zitilite init --data /data/z --listen 127.0.0.1:1280 --advertise box.example
    unshare --user --map-root-user chroot "$bare" /zitilite identity create box-1 --data /data/z --output jwt | grep -q '\..*\.'
    echo "ok: binary with nothing but the C library"
else
    echo "skipped: no user namespaces here, so the binary was not tried without a system around it"
fi

# The Dockerfile, as far as it goes without an engine: what its first stage runs, in folders of our own.
grep -q '^COPY \. /src$' packaging/Dockerfile
mkdir "$work/src"
tar --exclude-from=.dockerignore -cf - . | tar -C "$work/src" -xf -
sed -n '/^RUN python -m venv/,/[^\\]$/p' packaging/Dockerfile \
    | sed "s|^RUN python|$python|; s|/opt/zitilite|$work/image|g; s|/src|$work/src|g" >"$work/image.sh"
PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1 sh -eu "$work/image.sh"
try image "$work/image/bin/zitilite"
if command -v systemd-analyze >/dev/null; then
    sed "s|/usr/local/bin/zitilite|$root/dist/zitilite|" packaging/zitilite.service >"$work/zitilite.service"
    systemd-analyze verify --man=no "$work/zitilite.service"
    echo "ok: systemd unit"
else
    echo "skipped: no systemd-analyze here"
fi
