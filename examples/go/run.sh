#!/bin/sh
# Usage: examples/go/run.sh [order-host:port]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/examples/tools.sh"
go_tool google.golang.org/protobuf/cmd/protoc-gen-go v1.36.12
go_tool google.golang.org/grpc/cmd/protoc-gen-go-grpc v1.6.2
cd "$root"
buf generate --template examples/go/buf.gen.yaml
cd examples/go
mkdir -p "$cache/examples"
go build -o "$cache/examples/go-client" .
exec "$cache/examples/go-client" "${1:-127.0.0.1:3000}"
