#!/bin/sh
# Usage: examples/go/kafka.sh <bootstrap servers> order | keys <topic> <file>
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/examples/tools.sh"
go_tool google.golang.org/protobuf/cmd/protoc-gen-go v1.36.12
go_tool google.golang.org/grpc/cmd/protoc-gen-go-grpc v1.6.2
cd "$root"
buf generate --template examples/go/buf.gen.yaml
cd examples/go
mkdir -p "$cache/examples"
go build -o "$cache/examples/go-kafka" ./kafka
exec "$cache/examples/go-kafka" "$@"
