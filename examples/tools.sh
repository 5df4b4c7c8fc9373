# Sourced by the examples with the checkout's path in $root. Tools are kept outside the checkout.
cache=${TRADEWIND_CACHE:-$HOME/.cache/tradewind}
# Node 24 and buf come with the repository's packages.
PATH="$root/node_modules/.bin:$cache/bin:$PATH"

# go_tool <module path of the command> <version>: installed once, again when the version changes.
go_tool() {
  name=${1##*/}
  stamp="$cache/bin/.$name-$2"
  [ -x "$cache/bin/$name" ] && [ -e "$stamp" ] && return
  command -v go >/dev/null || { echo "$name needs Go to be built" >&2; exit 1; }
  mkdir -p "$cache/bin"
  echo "building $name $2" >&2
  GOBIN="$cache/bin" go install "$1@$2"
  touch "$stamp"
}
