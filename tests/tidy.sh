#!/bin/sh
# clang-tidy over every source of ours. What passed once with the same preprocessed text and the same checks is not
# looked at again.
#   tests/tidy.sh [JOBS]
set -eu
cd "$(dirname "$0")/.."
jobs=${1:-$(nproc)}
root=$(pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pidward/tidy
batches=build/tidy/batches

# clang-tidy 14 knows C++23 by its working title. A local name may well be one of another source of the batch.
tidy() { # source flags
  eval "clang-tidy --quiet --config-file=.clang-tidy $1 -- $(printf '%s' "$2" | sed 's/-std=c++23/-std=c++2b/') -Wno-shadow -ferror-limit=0"
}

# What decides over a pass: the text, the checks, their version, and what was excused from them.
key_of() { # source flags
  compiler=c++
  [ "${1%.c}" = "$1" ] || compiler=cc
  { eval "$compiler $2 -E -P $1" 2> /dev/null; cat .clang-tidy "$batches/common"; } |
    sed "s|$root||g" | sha256sum | cut -d' ' -f1
}

members() { # batch
  sed -n 's/^#include "\([^"]*\)".*/\1/p' "$1"
}

# Sources that cannot be compiled as one with the others are taken out and checked alone.
check_all() { # source flags log
  passed=yes
  tidy "$1" "$2" > "$3" 2>&1 && return
  passed=
  sed -n 's/:[0-9]*:[0-9]*: error: .*\[clang-diagnostic-error\]$//p' "$3" > "$3.odd"
  odd=$(members "$1" | grep -Fx -f "$3.odd" || true)
  if [ -z "$odd" ] || [ "$odd" = "$(members "$1")" ]; then return; fi
  printf '%s: checked alone: %s\n' "${1##*/}" "$(grep -m 1 'clang-diagnostic-error' "$3")"
  printf '%s\n' "$odd" > "$3.odd"
  grep -Fv -f "$3.odd" "$1" > "$1.rest"
  mv "$1.rest" "$1"
  check_all "$@"
  for one in $odd; do
    tidy "$one" "$2" >> "$3" 2>&1 || passed=
  done
}

check() { # batch
  source=$batches/$1
  flags=$(cat "${source%.*}.flags")
  key=$(key_of "$source" "$flags")
  [ ! -e "$cache/$key" ] || return 0
  check_all "$source" "$flags" "$source.log"
  [ -n "$passed" ] || { cat "$source.log"; return 1; }
  : > "$cache/$key"
}

if [ "${TIDY_BATCH:-}" ]; then
  check "$TIDY_BATCH"
  exit
fi
# Configured for itself: without precompiled headers, which are another compiler's, and with every source by its name.
mkdir -p build
cmake -G Ninja -S . -B build/tidy -DCMAKE_BUILD_TYPE=Debug -DPIDWARD_BENCH=ON > build/tidy.log 2>&1 ||
  { cat build/tidy.log; exit 1; }
rm -rf "$batches"
mkdir -p "$cache" "$batches"
{ clang-tidy --version; git grep -h NOLINT -- lib daemon tests; } > "$batches/common"
awk -v root="$root" -v out="$batches" -f tests/tidy_batches.awk build/tidy/compile_commands.json > "$batches/list"
if [ -e "$batches/unused" ]; then
  cat "$batches/unused"
  exit 1
fi
# The long ones first.
(cd "$batches" && xargs wc -l < list | sort -rn | awk '$2 != "total" {print $2}') |
  xargs -P "$jobs" -I{} env TIDY_BATCH={} sh tests/tidy.sh
