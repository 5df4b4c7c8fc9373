# Sourced by run.sh and kafka.sh after tools.sh. Makes $venv, and $generated from the contracts.
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
