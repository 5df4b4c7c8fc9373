#!/bin/sh
# Every call of every service with grpcurl, which knows the contracts from the servers' reflection alone.
# Usage: examples/grpcurl.sh [order-host:port [product-host:port [stock-host:port [ratings-host:port]]]]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/examples/tools.sh"
. "$root/examples/walk.sh"
go_tool github.com/fullstorydev/grpcurl/cmd/grpcurl v1.9.4
order=${1:-127.0.0.1:3000}
product=${2:-127.0.0.1:8080}
stock=${3:-127.0.0.1:50051}
ratings=${4:-127.0.0.1:8082}

# grpcurl does not know the short form of a field mask.
price_mask='{"paths":["price"]}'

call() {
  echo "\$ grpcurl -plaintext -d '$3' $1 $2"
  grpcurl -plaintext -max-time 10 -H "idempotency-key: $(date +%s%N)-$$" -d "$3" "$1" "$2" >"$answer" 2>&1 && done=0 || done=$?
  cat "$answer"
  return "$done"
}

# show <argument…>
show() {
  echo "\$ grpcurl -plaintext $*"
  grpcurl -plaintext -max-time 10 "$@"
}

for each in "$order $orders" "$product $products" "$stock $stocks" "$ratings $rates"; do
  address=${each% *} service=${each#* }
  show "$address" list
  show "$address" describe "$service"
  call "$address" grpc.health.v1.Health/Check "{\"service\":\"$service\"}"
  expect status SERVING
done
show "$order" describe tradewind.order.v1.CreateOrderRequest
walk
echo "grpcurl: all calls were answered as they must be"
