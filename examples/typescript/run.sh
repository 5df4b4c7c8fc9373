#!/bin/sh
# Usage: examples/typescript/run.sh [order-host:port]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/examples/tools.sh"
exec node "$root/examples/typescript/place-order.ts" "${1:-127.0.0.1:3000}"
