#!/bin/sh
# Usage: examples/python/kafka.sh <bootstrap servers> order | keys <topic> <file>
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/examples/tools.sh"
. "$root/examples/python/environment.sh"
PYTHONPATH="$generated" PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/kafka_events.py" "$@"
