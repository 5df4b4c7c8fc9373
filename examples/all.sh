#!/bin/sh
# Runs every example against running services, and says which ones failed. `npm start` runs the services.
# Usage: examples/all.sh [order-host:port [product-host:port [stock-host:port [ratings-host:port]]]]
set -u
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for example in typescript/run.sh go/run.sh python/run.sh grpcurl.sh buf-curl.sh; do
  if "$here/$example" "$@" >"$log" 2>&1; then
    echo "ok      examples/$example"
  else
    echo "FAILED  examples/$example"
    tail -n 40 "$log"
    failed=1
  fi
done
exit "$failed"
