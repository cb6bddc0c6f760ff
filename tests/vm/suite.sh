#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots one of the kernels of packaging/kernel with this machine's root and runs in it what it can prove: the kernel's
# self-test, and of pidward's own tests those that have to do with processes, cgroups and services.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

usage() {
  cat <<'TEXT'
usage: tests/vm/suite.sh [OPTION]...
       tests/vm/suite.sh --features [--build DIR]
  --kernel WHICH    patched (default), off (the same with CONFIG_FS_PID not set), or debug (KASAN, lockdep, ODEBUG,
                    kmemleak)
  --build DIR       where pidward and its tests are built (build/release)
  --smp N           CPUs of the guest (1; 2 with the debug kernel). More of them than are free here make it slow.
  --stress SECONDS  stress the kernel for that long first
  --only WORD       only the parts whose name contains WORD
  --short           what takes long without having to do with the kernel left out
  --features        show what `pidwardctl features` says on the patched kernel, with the option off, and on this one
  -h, --help        this text
Exit status: 0 if everything passed and the kernel had nothing to complain about (see tests/vm/run.sh --help).
TEXT
}

kernel=patched
build=$top/build/release
smp=
stress=0
only=
selection=whole
features=
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --features) features=yes ;;
    --short) selection=short ;;
    --kernel|--build|--smp|--stress|--only)
      [ $# -ge 2 ] || { echo "suite.sh: $1 needs a value (see --help)" >&2; exit 2; }
      case $1 in
        --kernel) kernel=$2 ;;
        --build) build=$2 ;;
        --smp) smp=$2 ;;
        --stress) stress=$2 ;;
        --only) only=$2 ;;
      esac
      shift ;;
    *) echo "suite.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done
case $build in /*) ;; *) build=$PWD/$build ;; esac
[ -x "$build/daemon/pidward" ] ||
  { echo "suite.sh: no $build/daemon/pidward: build first, or say where with --build" >&2; exit 2; }

if [ -n "$features" ]; then
  work=$(mktemp -d "${TMPDIR:-/tmp}/pidward-features.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  for k in patched off; do
    "$here/run.sh" --kernel $k --host --cmd "sh $here/features.sh $build" > "$work/$k"
  done
  sh "$here/features.sh" "$build" > "$work/host"
  { for k in patched off host; do sed "s/^/$k /" "$work/$k"; done; } | sh "$here/features.sh" --table
  exit 0
fi

# Software emulation is slow, checkers make it slower: the limit is for what hangs.
limit=2400
if [ "$kernel" = debug ]; then
  limit=14400
  : "${smp:=2}"
fi
exec "$here/run.sh" --kernel "$kernel" --host --smp "${smp:-1}" --timeout $((limit + stress * 2)) \
  --cmd "sh $here/guest.sh $build $kernel $selection $stress $only"
