#!/bin/sh
# From a fresh Debian 12 to a running supervisor: installs what is missing, builds, starts pidward with a demo (or with
# the unit files you name) in a runtime directory of its own, and shows its status. --stop ends it and leaves nothing.
set -eu

usage() {
  cat <<'EOF'
Usage: sh packaging/quickstart.sh [UNIT-FILE...]
       sh packaging/quickstart.sh --stop
Without arguments: builds pidward and starts the units of units/demo/.
With unit files:   supervises those instead (NAME.service, NAME.socket, NAME.service.yaml …).
  --stop        ends it: every service, the daemon, its directories
  --no-install  do not install Debian packages
EOF
}

root=$(cd "$(dirname "$0")/.." && pwd)
home=${PIDWARD_QUICKSTART_DIR:-/tmp/pidward-quickstart-$(id -u)}
daemon=$root/build/release/daemon/pidward
control=$root/build/release/daemon/pidwardctl
install=yes
case "${1:-}" in
  -h|--help) usage; exit 0 ;;
  --no-install) install=; shift ;;
esac

ctl() { "$control" --runtime-dir "$home/run" "$@"; }

stop() {
  if [ ! -d "$home" ]; then
    echo "Nothing is running from $home."
    return 0
  fi
  if [ -S "$home/run/private" ]; then
    ctl exit || true
    # The lock is held by the daemon for as long as it lives.
    flock "$home/lock" true
  fi
  rm -rf "$home"
  echo "Stopped; nothing is left."
}

if [ "${1:-}" = --stop ]; then
  stop
  exit 0
fi

[ -z "$install" ] || sh "$root/packaging/dependencies.sh" build demo
if [ ! -x "$daemon" ] || [ -n "$(find "$root/lib" "$root/daemon" -newer "$daemon" -name '*.[ch]pp' | head -n 1)" ]; then
  echo "Building (a few minutes the first time) …"
  (cd "$root" && cmake --preset release -DPIDWARD_TESTS=OFF -DPIDWARD_BENCH=OFF > /dev/null &&
    cmake --build --preset release -- --quiet)
fi

[ ! -d "$home" ] || stop > /dev/null
umask 022
mkdir -p "$home/units" "$home/run" "$home/log" "$home/state"
if [ $# -gt 0 ]; then
  {
    echo "[Unit]"
    echo "Description=The units you named"
    for file in "$@"; do
      [ -f "$file" ] || { echo "quickstart.sh: $file: no such file" >&2; exit 2; }
      name=$(basename "$file")
      ln -sf "$(cd "$(dirname "$file")" && pwd)/$name" "$home/units/$name"
      echo "Wants=${name%.yaml}"
      echo "After=${name%.yaml}"
    done
  } > "$home/units/quickstart.target"
  goal=quickstart.target
else
  ln -s "$root"/units/demo/* "$home/units/"
  goal=demo.target
fi

mode=--system
[ "$(id -u)" -eq 0 ] || mode=--user
kind=${mode#--}
PIDWARD_UNIT_PATH="$home/units:$root/units/$kind"
export PIDWARD_UNIT_PATH
flock "$home/lock" "$daemon" "$mode" --runtime-dir "$home/run" --log-dir "$home/log" --state-dir "$home/state" \
  --bus off --unit "$goal" > "$home/daemon.log" 2>&1 &

tries=0
until [ -S "$home/run/private" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ]; then
    cat "$home/daemon.log" >&2
    echo "quickstart.sh: pidward did not start" >&2
    exit 1
  fi
  sleep 0.1
done
ctl start "$goal" || true # joins the job that is under way, and waits for it
ctl status "$goal" || true
echo
ctl list-units --type service || true
cat <<EOF

pidward is running. Try next:
  alias pw='$control --runtime-dir $home/run'
EOF
if [ "$goal" = demo.target ]; then
  cat <<'EOF'
  pw status demo-web          # one service, its processes, its last lines
  curl http://127.0.0.1:8123/ # what it serves
  pw logs -f demo-flaky       # the one that crashes now and then, and comes back
  pw ps                       # every process by inode
  pw features                 # what this kernel gives us
EOF
fi
echo "  sh packaging/quickstart.sh --stop"
