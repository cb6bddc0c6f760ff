#!/bin/sh
# clang-tidy over every source of ours. A file that passed once with the same preprocessed text and the same checks is
# not looked at again.
#   tests/tidy.sh BUILD-DIR [JOBS]
set -eu
cd "$(dirname "$0")/.."
build=$1
jobs=${2:-$(nproc)}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pidward/tidy
database=$build/tidy
mkdir -p "$cache" "$database"

# clang-tidy 14 knows C++23 by its working title, and no compiler launcher.
prepare() {
  sed -e 's/-std=c++23/-std=c++2b/' -e 's|"command": "[^ ]*/ccache |"command": "|' \
    "$build/compile_commands.json" > "$database/compile_commands.json"
}

check_one() {
  source=$1
  command=$(sed -n "s|^  \"command\": \"\(.* -c [^ ]*/$source\)\",*$|\1|p" "$database/compile_commands.json" | head -n 1)
  if [ -z "$command" ]; then
    echo "$source: is not built, so clang-tidy cannot check it" >&2
    return 1
  fi
  preprocess=$(printf '%s' "$command" | sed -e 's/\\"/"/g' -e 's/ -o [^ ]*//' -e 's/-std=c++2b/-std=c++23/')
  key=$( (eval "$preprocess -E -P" 2> /dev/null; cat .clang-tidy) | sed "s|$(pwd)||g" | sha256sum | cut -d' ' -f1)
  [ -e "$cache/$key" ] && return 0
  if clang-tidy -p "$database" --quiet "$source" > "$cache/$key.log" 2>&1; then
    mv "$cache/$key.log" "$cache/$key"
  else
    cat "$cache/$key.log"
    rm -f "$cache/$key.log"
    return 1
  fi
}

if [ "${TIDY_ONE:-}" ]; then
  check_one "$TIDY_ONE"
  exit
fi
prepare
git ls-files 'lib/*.cpp' 'daemon/*.cpp' | xargs -P "$jobs" -I{} env TIDY_ONE={} sh tests/tidy.sh "$build"
