#!/bin/sh
# package_upgrade.sh BUILD: a package of pidward is installed, pidward started and a service in it; then the package is
# installed again, as an upgrade does. pidward is the new program then, and the service has not noticed. All of it on a
# copy of this system that is gone afterwards.
set -eu
build=$1

if [ -z "${PIDWARD_TEST_NAMESPACE:-}" ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "Needs root: for a mount namespace" >&2
    exit 77
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cpack --config "$build/CPackConfig.cmake" -B "$work/package" > "$work/cpack.log" || { cat "$work/cpack.log"; exit 1; }
  PIDWARD_TEST_NAMESPACE=$work unshare --mount --propagation private sh "$0" "$build"
  exit
fi

work=$PIDWARD_TEST_NAMESPACE
mkdir "$work/layers"
mount -t tmpfs layers "$work/layers"
root=$work/layers/root
mkdir "$work/layers/upper" "$work/layers/work" "$root"
mount -t overlay system -o "lowerdir=/,upperdir=$work/layers/upper,workdir=$work/layers/work" "$root"
for directory in dev proc sys; do mount --rbind "/$directory" "$root/$directory"; done
for directory in run tmp; do mount -t tmpfs "$directory" "$root/$directory"; done
cp "$work"/package/*.deb "$root/tmp/pidward.deb"
mkdir "$root/tmp/units"
cat > "$root/tmp/units/a.service" <<'EOF'
[Unit]
DefaultDependencies=no
[Service]
ExecStart=sleep infinity
ExecStop=/bin/true
EOF
echo "control-group: pidward-test-package-$$" > "$root/tmp/pidward.yaml"

in_root() { chroot "$root" "$@"; }
install_package() { in_root dpkg --no-triggers --force-confold -i /tmp/pidward.deb; }
fail() {
  echo "FAILED: $*" >&2
  cat "$root/tmp/log" >&2
  exit 1
}
in_root dpkg --purge pidward > /dev/null 2>&1 || true
install_package
ctl=$(in_root sh -c 'command -v pidwardctl')
daemon=$(in_root sh -c 'command -v pidward')

daemon_pid=
finish() {
  if [ -n "$daemon_pid" ]; then
    kill -TERM "$daemon_pid" 2> /dev/null || true
    wait "$daemon_pid" || true
  fi
}
trap finish EXIT
PIDWARD_UNIT_PATH=/tmp/units chroot "$root" "$daemon" --system --bus off --config /tmp/pidward.yaml \
  --unit a.service > "$root/tmp/log" 2>&1 &
daemon_pid=$!
ask() { in_root "$ctl" show a.service --property MainPID --property InvocationID --property NRestarts; }
# It answers when it is ready, and not before.
until in_root "$ctl" is-active a.service > /dev/null 2>&1; do
  kill -0 "$daemon_pid" 2> /dev/null || fail "pidward has ended"
  sleep 0.05
done
before=$(ask)

install_package || fail "the upgrade"
exe=$(readlink "/proc/$daemon_pid/exe") || fail "pidward has ended"
case $exe in *deleted*) fail "the old program runs on: $exe" ;; esac
after=$(ask)
[ "$before" = "$after" ] || fail "before: $before; after: $after"
in_root "$ctl" stop a.service || fail "cannot be stopped"
in_root "$ctl" is-active a.service > /dev/null && fail "runs on"
echo "pidward $daemon_pid is $exe, and its service has not noticed: $after"
