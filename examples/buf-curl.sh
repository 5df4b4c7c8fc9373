#!/bin/sh
# Every call of every service with `buf curl`: by gRPC over HTTP/2, with the schema from the servers' reflection, and by gRPC-Web and Connect over
# HTTP/1.1, with the schema from proto/.
# Usage: examples/buf-curl.sh [order-host:port [product-host:port [stock-host:port [ratings-host:port]]]]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/examples/tools.sh"
. "$root/examples/walk.sh"
order=${1:-127.0.0.1:3000}
product=${2:-127.0.0.1:8080}
stock=${3:-127.0.0.1:50051}
ratings=${4:-127.0.0.1:8082}

price_mask='"price"'

call() {
  address=$1 method=$2 request=$3
  case $protocol in
    grpc) set -- --http2-prior-knowledge ;;
    *) set -- --schema "$root/proto" ;;
  esac
  echo "\$ buf curl --protocol $protocol $* -d '$request' http://$address/$method"
  key="idempotency-key: $(date +%s%N)-$$"
  buf curl --timeout 10s --protocol "$protocol" "$@" -H "$key" -d "$request" "http://$address/$method" >"$answer" 2>&1 && done=0 || done=$?
  cat "$answer"
  return "$done"
}

for address in "$order" "$product" "$stock" "$ratings"; do
  echo "\$ buf curl --http2-prior-knowledge --list-methods http://$address"
  buf curl --http2-prior-knowledge --list-methods "http://$address"
done
for protocol in grpc grpcweb connect; do
  walk
done
echo "buf curl: all calls were answered as they must be"
