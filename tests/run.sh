#!/bin/sh
# Installs what is missing, builds, and runs the whole suite through ctest.
#   sh tests/run.sh              the suite, built Release
#   sh tests/run.sh --vm         the same, and what a virtual machine with the patched Linux 6.1 can prove
#   sh tests/run.sh --all        --vm, after the format check and clang-tidy: what every change must pass
#   sh tests/run.sh --asan       the suite under ASan+UBSan, then the suite
#   sh tests/run.sh --tsan       what has threads under TSan, then the suite
#   sh tests/run.sh --tidy       clang-tidy, then the suite
#   sh tests/run.sh -- -R NAME   anything after -- goes to ctest
set -eu

usage() {
  cat <<'EOF'
Usage: sh tests/run.sh [--all] [--vm] [--asan] [--tsan] [--tidy] [--no-install] [--jobs N] [-- CTEST-ARGUMENT...]
  --all         first check the format and run clang-tidy; then as with --vm
  --vm          build the patched Linux 6.1 as well, boot it under QEMU, and run what it can prove
  --asan        first run the suite under ASan and UBSan
  --tsan        first run what has threads under TSan
  --tidy        first run clang-tidy
  --no-install  do not install Debian packages, take what is there
  --jobs N      build and test jobs at once (default: the number of processors)
EOF
}

cd "$(dirname "$0")/.."
all=
vm=
asan=
tsan=
tidy=
install=yes
jobs=$(nproc)
while [ $# -gt 0 ]; do
  case "$1" in
    --all) all=yes vm=yes ;;
    --vm) vm=yes ;;
    --asan) asan=yes ;;
    --tsan) tsan=yes ;;
    --tidy) tidy=yes ;;
    --no-install) install= ;;
    --jobs) shift; jobs=$1 ;;
    -h|--help) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

begun=$(date +%s)
clock=$(mktemp)
beside=
trap 'rm -f "$clock"; [ -z "$beside" ] || kill -- "-$beside" 2> /dev/null || true' EXIT
# What a step took of the processors tells more than the clock where others are at work as well.
step() { # name
  times > "$clock"
  printf '\n== %s (after %s s, %s s of processor time)\n' "$*" "$(($(date +%s) - begun))" \
    "$(awk 'NR == 2 { gsub("s", ""); for (i = 1; i <= 2; i++) { split($i, t, "m"); sum += t[1] * 60 + t[2] } printf "%d", sum }' "$clock")"
}

if [ -n "$install" ]; then
  step "packages"
  sh packaging/dependencies.sh build test services demo ${all:+lint} ${tidy:+lint} ${vm:+vm}
fi

# The kernel takes what CPU the rest leaves; it is waited for where it is wanted. A session of its own is easily ended,
# and counts as one for the scheduler: it has to be nice as a whole.
if [ -n "$vm" ]; then
  mkdir -p build
  # shellcheck disable=SC2016  # for the shell that is started
  setsid sh -c 'echo 19 2> /dev/null > /proc/self/autogroup; exec bash packaging/kernel/build.sh --nice 19 --jobs "$1"' \
    kernel "$jobs" > build/kernel.log 2>&1 &
  beside=$!
fi

# Objects of another checkout serve as well, whatever its folder is called.
CCACHE_BASEDIR=$(pwd)
CCACHE_NOHASHDIR=yes
export CCACHE_BASEDIR CCACHE_NOHASHDIR

build() { # preset [target...]
  preset=$1
  shift
  step "build ($preset)"
  cmake --preset "$preset" > "build-$preset.log" 2>&1 || { cat "build-$preset.log"; exit 1; }
  rm -f "build-$preset.log"
  cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"} -- --quiet
}

sanitized() { # preset ctest-argument...
  preset=$1
  shift
  step "suite under $preset"
  ctest --preset "$preset" -j "$jobs" "$@" > "build/$preset/suite.log" 2>&1 ||
    { cat "build/$preset/suite.log"; exit 1; }
  grep 'tests passed' "build/$preset/suite.log"
}

if [ -n "$all" ]; then
  step "format"
  git ls-files 'lib/*.?pp' 'daemon/*.?pp' 'tests/*.?pp' | xargs clang-format --dry-run --Werror
fi
if [ -n "$all$tidy" ]; then
  step "clang-tidy"
  sh tests/tidy.sh "$jobs"
fi
if [ -n "$asan" ]; then
  build asan
  # The house's rules are about objects as they ship, the kernel is the same; of the simulation and the crash test, which
  # are long, a part will do. What gives the daemon hardly any descriptors or room is measured for one without checkers.
  sanitized asan -E '^house\.Symbols|^sim\.second|^crash\.every|^integration\.(FullRun|Exhaustion\.APidward)' -LE '^kernel$'
fi
if [ -n "$tsan" ]; then
  build tsan test_runtime test_sys
  sanitized tsan -L '^(runtime|sys)$'
fi
build release

# The virtual machine is a test among the others, the first to begin: it has one processor, they have the rest.
if [ -n "$vm" ]; then
  step "kernel"
  wait "$beside" || { beside=; cat build/kernel.log; exit 1; }
  beside=
  tail -n 1 build/kernel.log
  step "suite and virtual machine"
  ctest --preset release -j "$jobs" "$@"
else
  step "suite"
  ctest --preset release -j "$jobs" -LE '^vm$' "$@"
fi
