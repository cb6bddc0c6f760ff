#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#   features.sh DIR      what the pidward built in DIR finds on the running kernel: a feature, its state, since when
#   features.sh --table  reads such lines, each after the name of a kernel, and writes a table of them side by side
set -eu

if [ "$1" = --table ]; then
  exec awk '
    !($1 in seen) { seen[$1] = 1; kernels[++k] = $1 }
    !($2 in since) { since[$2] = $4; features[++n] = $2 }
    { state[$2, $1] = $3 }
    END {
      printf "| feature | since |"; for (i = 1; i <= k; i++) printf " %s |", kernels[i]
      printf "\n|---|---|"; for (i = 1; i <= k; i++) printf "---|"
      for (j = 1; j <= n; j++) {
        printf "\n| `%s` | %s |", features[j], since[features[j]]
        for (i = 1; i <= k; i++) printf " %s |", state[features[j], kernels[i]]
      }
      print ""
    }'
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/pidward-features.XXXXXX")
mkdir "$work/units"
printf '[Unit]\nDescription=Nothing\n' > "$work/units/idle.target"
"$1/daemon/pidward" --system --runtime-dir "$work/run" --state-dir "$work/state" --log-dir "$work/log" \
  --unit-path "$work/units" --bus off --no-cgroup --unit idle.target > "$work/out" 2>&1 &
daemon=$!
# It ends with us, whatever happens.
trap 'kill $daemon 2>/dev/null; wait $daemon 2>/dev/null; rm -rf "$work"' EXIT
tries=0
until "$1/daemon/pidwardctl" --runtime-dir "$work/run" features > "$work/features" 2>/dev/null; do
  tries=$((tries + 1))
  if [ $tries -gt 600 ] || ! kill -0 $daemon 2>/dev/null; then
    cat "$work/out" >&2
    exit 1
  fi
  sleep 0.1
done
awk 'NR > 1 && NF > 3 { sub(/,$/, "", $3); print $1, $2, $3 }' "$work/features"
