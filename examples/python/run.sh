#!/bin/sh
# Usage: examples/python/run.sh [order-host:port]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/examples/tools.sh"
. "$root/examples/python/environment.sh"
PYTHONPATH="$generated" PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/place_order.py" "${1:-127.0.0.1:3000}"
