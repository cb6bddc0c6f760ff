#!/bin/sh
# under_systemd.sh BUILD: a package of pidward is installed where the real systemd is PID 1, which runs pidward as a
# service. It tells when it is ready, is taken up again after SIGKILL, upgraded, reloaded, restarted and removed; its
# own service notices the restart and the removal only. All of it on a copy of this system, in namespaces of its own,
# that is gone afterwards.
set -eu
build=$1
systemd=/lib/systemd/systemd

if [ -z "${PIDWARD_TEST_NAMESPACE:-}" ]; then
  groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
  if [ "$(id -u)" != 0 ] || [ ! -x $systemd ] || [ ! -w "$groups/cgroup.procs" ]; then
    echo "Needs root, systemd and a writable cgroup v2" >&2
    exit 77
  fi
  work=$(mktemp -d)
  group=$groups/pidward-test-systemd-$$
  mkdir "$group"
  clean_up() {
    echo 1 > "$group/cgroup.kill"
    while grep -q 'populated 1' "$group/cgroup.events"; do sleep 0.05; done
    find "$group" -depth -type d -exec rmdir {} \;
    rm -rf "$work"
  }
  trap clean_up EXIT
  trap 'exit 1' INT TERM
  cpack --config "$build/CPackConfig.cmake" -B "$work/package" > "$work/cpack.log" || { cat "$work/cpack.log"; exit 1; }
  mkdir "$work/layers" "$work/said"
  # shellcheck disable=SC2016 # the inner shell is the one that moves
  PIDWARD_TEST_NAMESPACE=$work sh -c 'echo $$ > "$1/cgroup.procs"
    exec unshare --mount --propagation private --cgroup --pid --fork --kill-child --uts --ipc --net sh "$2" "$3"' \
    sh "$group" "$0" "$build" || true  # how PID 1 ended says nothing
  cat "$work/said/log"
  [ "$(cat "$work/said/verdict" 2> /dev/null)" = passed ] && exit
  echo "FAILED; systemd said:" >&2
  cat "$work/said/systemd" >&2
  exit 1
fi

# A root of its own: nothing that systemd does at boot reaches this system's files, devices or settings.
work=$PIDWARD_TEST_NAMESPACE
mount -t tmpfs layers "$work/layers"
root=$work/layers/root
mkdir "$work/layers/upper" "$work/layers/work" "$root"
mount -t overlay system -o "lowerdir=/,upperdir=$work/layers/upper,workdir=$work/layers/work" "$root"
for directory in dev run tmp var/tmp; do mount -t tmpfs "$directory" "$root/$directory"; done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
  # shellcheck disable=SC2086 # three words
  set -- $device
  mknod -m 666 "$root/dev/$1" c "$2" "$3"
done
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
rm -f "$root/etc/fstab"
# Not in /tmp, which systemd empties when it boots.
mkdir -p "$root/opt/test"
mount --bind "$work/said" "$root/opt/test"
cp "$work"/package/*.deb "$root/opt/test/pidward.deb"

mkdir -p "$root/etc/pidward/system" "$root/etc/systemd/system/pidward.service.d"
cat > "$root/etc/pidward/system/a.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
ExecStart=sleep infinity
UNIT
cat > "$root/opt/test/check.sh" <<'CHECK'
set -eux
ask() { pidwardctl show a.service --property MainPID --property InvocationID --property NRestarts; }
is_up() { systemctl --quiet is-active pidward && pidwardctl --quiet is-active a.service; }
dpkg --purge pidward || true
dpkg --no-triggers --force-confold -i /opt/test/pidward.deb
printf '[Service]\nExecStart=\nExecStart=%s --system --bus off --unit a.service\n' "$(command -v pidward)" \
  > /etc/systemd/system/pidward.service.d/unit.conf
systemctl daemon-reload

systemctl start pidward  # returns when it has said that it is ready
systemctl --quiet is-active pidward
until is_up; do sleep 0.05; done
before=$(ask)
: its processes are in groups below that of the service
sleeper=$(pidwardctl show a.service --property MainPID --value)
grep -q '^0::/system.slice/pidward.service/.*a.service$' "/proc/$sleeper/cgroup"

: the many descriptors that it may have itself are not what its services expect
grep -q '^Max open files  *1024  *[0-9]' "/proc/$sleeper/limits"

: killed, it comes back and has lost nobody
was=$(systemctl show pidward --property MainPID --value)
kill -KILL "$was"
until is_up && [ "$(systemctl show pidward --property MainPID --value)" != "$was" ]; do sleep 0.05; done
[ "$before" = "$(ask)" ]
[ "$(systemctl show pidward --property NRestarts --value)" = 1 ]

: the upgrade is one of the same process
was=$(systemctl show pidward --property MainPID --value)
dpkg --no-triggers --force-confold -i /opt/test/pidward.deb
[ "$(systemctl show pidward --property MainPID --value)" = "$was" ]
case $(readlink "/proc/$was/exe") in *deleted*) exit 1 ;; esac
[ "$before" = "$(ask)" ]

systemctl reload pidward
is_up
[ "$before" = "$(ask)" ]

: restarted, it stops its services in order and starts them again
systemctl restart pidward
[ ! -e "/proc/$sleeper" ]
until is_up; do sleep 0.05; done
[ "$before" != "$(ask)" ]
sleeper=$(pidwardctl show a.service --property MainPID --value)

: removed, it leaves nothing that runs
dpkg -r pidward
[ ! -e "/proc/$sleeper" ]
[ ! -e /run/pidward ]
[ ! -e /sys/fs/cgroup/system.slice/pidward.service ]
[ "$(systemctl show pidward --property ActiveState --value)" = inactive ]
echo passed > /opt/test/verdict
CHECK
cat > "$root/etc/systemd/system/check.service" <<'UNIT'
[Unit]
DefaultDependencies=no
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/test/check.sh
StandardOutput=file:/opt/test/log
StandardError=file:/opt/test/log
TimeoutStartSec=150
UNIT
cd "$root"
exec env container=lxc chroot . $systemd --system --unit=check.service --log-target=console \
  > "$work/said/systemd" 2>&1
