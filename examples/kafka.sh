#!/bin/sh
# Starts a Kafka and all services on it, on ports of their own, and runs every example that speaks Kafka; needs Go, Python, Maven and a JDK 17.
# Usage: examples/kafka.sh
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/examples/tools.sh"
exec node "$root/examples/kafka/run.ts"
