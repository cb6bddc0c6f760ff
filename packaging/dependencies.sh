#!/bin/sh
# Installs what is missing, from Debian's own packages: nothing is fetched from anywhere else.
#   dependencies.sh run|build|test|lint...   (each implies nothing; name what you need)
# Package scripts are kept from starting daemons while they install.
set -eu

usage() {
  cat <<'EOF'
Usage: dependencies.sh GROUP...
Installs the Debian packages of each GROUP that are missing.
  build   compiler, build tools and libraries
  demo    what units/demo runs
  test    GoogleTest, benchmarks, strace, a message bus
  lint    clang-format and clang-tidy
  services  the Debian services that the integration tests supervise
  vm      QEMU, and what a kernel is built from
EOF
}

packages_of() {
  case "$1" in
    build) echo "g++ cmake ninja-build pkg-config ccache libsystemd-dev libboost1.81-dev libyaml-cpp-dev libfmt-dev libcli11-dev nlohmann-json3-dev" ;;
    demo) echo "busybox perl-base curl" ;;
    test) echo "libgtest-dev libgmock-dev libbenchmark-dev strace dbus dbus-daemon procps binutils curl dpkg-dev file" ;;
    lint) echo "clang-format clang-tidy" ;;
    services) echo "redis-server nginx-light memcached cron openssh-server openssh-client postgresql-15 apache2 dbus rsyslog systemd netcat-openbsd" ;;
    vm) echo "qemu-system-x86 busybox linux-source-6.1 gcc make flex bison bc xz-utils patch perl cpio libelf-dev libssl-dev" ;;
    *) usage >&2; exit 2 ;;
  esac
}

[ $# -gt 0 ] || { usage >&2; exit 2; }
case "$1" in -h|--help) usage; exit 0 ;; esac

missing=
for group in "$@"; do
  for package in $(packages_of "$group"); do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
  done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "dependencies.sh: these packages are missing:$missing" >&2
  echo "dependencies.sh: run this script as root once, or install them with apt-get" >&2
  exit 1
fi

policy=/usr/sbin/policy-rc.d
placed=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  placed=yes
fi
# shellcheck disable=SC2064  # the value of now is the one that counts
trap "[ -z '$placed' ] || rm -f '$policy'" EXIT INT TERM

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086  # a list of words
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } > "$log" 2>&1; then
  tail -n 40 "$log" >&2
  rm -f "$log"
  echo "dependencies.sh: installation failed" >&2
  exit 1
fi
rm -f "$log"
