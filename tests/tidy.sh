#!/bin/sh
# clang-tidy over every source of ours. What passed once with the same compile command and the same
# headers is not looked at again: tests/tidy.sh BUILD-DIR [JOBS]
set -eu
build=$1
jobs=${2:-$(nproc)}
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pidward/tidy
mkdir -p "$cache"

# The preprocessed text and the checks decide the verdict; their hash names it.
check_one() {
  source=$1
  command=$(sed -n "s|^  \"command\": \"\(.* -c [^ ]*/$source\)\",*$|\1|p" "$build/compile_commands.json" | head -n 1)
  [ -n "$command" ] || return 0
  command=$(printf '%s' "$command" | sed -e 's/\\"/"/g' -e 's/\\\\/\\/g' -e 's/^[^ ]*ccache //' -e 's/ -o [^ ]*//')
  key=$( (cd "$build" && eval "$command -E -P" 2>/dev/null; cat "$OLDPWD/.clang-tidy") | sha256sum | cut -d' ' -f1)
  [ -e "$cache/$key" ] && return 0
  if clang-tidy -p "$build" --quiet "$source" > "$cache/$$.out" 2> "$cache/$$.err"; then
    touch "$cache/$key"
    rm -f "$cache/$$.out" "$cache/$$.err"
  else
    cat "$cache/$$.out"
    grep -E 'error' "$cache/$$.err" || true
    rm -f "$cache/$$.out" "$cache/$$.err"
    return 1
  fi
}

if [ "${TIDY_ONE:-}" ]; then
  check_one "$TIDY_ONE"
  exit
fi
build=$(cd "$build" && pwd)
git ls-files 'lib/*.cpp' 'daemon/*.cpp' |
  xargs -P "$jobs" -I{} env TIDY_ONE={} sh tests/tidy.sh "$build"
