#!/bin/sh
# Usage: examples/python/run.sh [order-host:port]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/examples/tools.sh"
here="$root/examples/python"
# One environment for each list of requirements, so that an old one is never mixed with a new one.
venv="$cache/python-$(cksum < "$here/requirements.txt" | tr -d ' ')"
if [ ! -e "$venv/ready" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  touch "$venv/ready"
fi
generated="$cache/examples/python"
rm -rf "$generated"
mkdir -p "$generated"
cd "$root/proto"
"$venv/bin/python" -m grpc_tools.protoc -I . --python_out="$generated" --pyi_out="$generated" --grpc_python_out="$generated" \
  $(find tradewind buf -name '*.proto')
PYTHONPATH="$generated" PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/place_order.py" "${1:-127.0.0.1:3000}"
