#!/bin/sh
# Installs what is missing, builds, and runs the whole suite through ctest.
#   sh tests/run.sh              the suite, built Release
#   sh tests/run.sh --all        the same, after formatting, clang-tidy, ASan+UBSan and TSan
#   sh tests/run.sh -- -R NAME   anything after -- goes to ctest
set -eu

usage() {
  cat <<'EOF'
Usage: sh tests/run.sh [--all] [--no-install] [--jobs N] [-- CTEST-ARGUMENT...]
  --all         first check the format, run clang-tidy, and the suite under ASan+UBSan and TSan
  --no-install  do not install Debian packages, take what is there
  --jobs N      build and test jobs at once (default: the number of processors)
EOF
}

cd "$(dirname "$0")/.."
all=
install=yes
jobs=$(nproc)
while [ $# -gt 0 ]; do
  case "$1" in
    --all) all=yes ;;
    --no-install) install= ;;
    --jobs) shift; jobs=$1 ;;
    -h|--help) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

begun=$(date +%s)
step() { printf '\n== %s (after %s s)\n' "$*" "$(($(date +%s) - begun))"; }

if [ -n "$install" ]; then
  step "packages"
  sh packaging/dependencies.sh build test services demo ${all:+lint}
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

if [ -n "$all" ]; then
  step "format"
  git ls-files 'lib/*.?pp' 'daemon/*.?pp' 'tests/*.?pp' | xargs clang-format --dry-run --Werror
  build release
  step "clang-tidy"
  sh tests/tidy.sh build/release "$jobs"

  build asan
  step "suite under ASan and UBSan"
  ctest --preset asan -j "$jobs" -LE 'bench|sim-long|house' --quiet --output-log build/asan/suite.log ||
    { cat build/asan/suite.log; exit 1; }
  tail -n 4 build/asan/suite.log

  build tsan test_runtime
  step "what has threads, under TSan"
  ctest --preset tsan -j "$jobs" -L runtime --quiet --output-log build/tsan/suite.log ||
    { cat build/tsan/suite.log; exit 1; }
  tail -n 4 build/tsan/suite.log
else
  build release
fi

step "suite"
ctest --preset release -j "$jobs" "$@"
