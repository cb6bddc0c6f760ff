#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What tests/vm/suite.sh runs in the guest: guest.sh BUILD-DIR KERNEL SELECTION STRESS-SECONDS [WORD]
build=$1
kernel=$2
selection=$3
stress=$4
only=${5:-}

export TMPDIR=/run/test
mkdir -m 1777 $TMPDIR
results=/run/results
mkdir $results
# How long a part may take; and how much slower than elsewhere everything is, for those who wait.
limit=1200
slower=5
count=200000
case $kernel in
  off) expect=off ;;
  debug) expect=patched limit=3600 slower=20 count=20000 ;;
  *) expect=patched ;;
esac
export PIDWARD_TEST_PATIENCE=$((60 * slower)) SYSTEMD_BUS_TIMEOUT=$((25 * slower))

# Of what GoogleTest says, not the cases that passed.
worth_reading() {
  awk '/^\[ RUN/ { run = $0; next } /^\[       OK/ { run = ""; next } { if (run != "") print run; run = ""; print }
    END { if (run != "") print run }' "$1"
}

# part NAME COMMAND...: one line when it ends, and what it said if it failed
part() {
  name=$1
  shift
  case $name in *"$only"*) ;; *) return 0 ;; esac
  begin=$(cut -d. -f1 /proc/uptime)
  timeout -k 10 "$limit" "$@" > "$results/$name" 2>&1
  status=$?
  took=$(($(cut -d. -f1 /proc/uptime) - begin))
  said=$(grep -E '^\[  PASSED  \]|^\[  SKIPPED \]|passed, [0-9]+ failed|^  [0-9]+ operations' "$results/$name" | tail -n 3 | tr '\n' ' ')
  if [ $status = 0 ]; then
    echo "ok    $name (${took} s): $said"
  else
    # In one piece, for another part may be speaking as well.
    { echo "FAIL  $name (${took} s, status $status)"; worth_reading "$results/$name" | sed 's/^/      /'; } > "$results/$name.failed"
    cat "$results/$name.failed"
  fi
}

# gtest NAME FILTER
gtest() {
  part "$1" "$build/tests/$1/test_$1" --gtest_filter="$2"
}

# In the short selection, one tier is tried where nothing but the clock changes with another one, thousands of anything
# are left to machines that are not emulated, and what only computes is left out.
processes() {
  gtest sys '*'
  case $selection in
    short)
      gtest process '*-*NumberStorm*/1:*NumberStorm*/2:*NumberStorm*/3:*HoldsThousands*'
      gtest exec '*-*AThousandStarts*:*StreamsTest.*:*SurroundingsTest.*Environment*:*TerminalTest.*'
      gtest runtime '*Exhaustion*:ManagerTest.*:*HoldersTest.*:*LeasesTest.*:LeaseStorm*:Cgroup*:Freezer*'
      ;;
    *)
      gtest process '*'
      gtest exec '*'
      gtest runtime '*'
      ;;
  esac
}

# Input that is refused is refused the same everywhere; what is left out here besides takes longest to come up.
# WithControllers is what only a machine like this can show, and runs nowhere else.
services() {
  case $selection in
    short)
      gtest integration 'WithControllers.*:*RedisServesIs*:System.Cron*:System.Dbus*:System.Rsyslog*:Web.Nginx*:*.WhatForked*:Activation.Traffic*:Lifecycle.WhatAn*:OnTheBus.AStrange*:UserMode.Runs*'
      gtest bus 'ProcessesOnTheBus.*:UnitsAtWork.*Control*:TransientUnits.AScope*'
      gtest cli 'ProcessVerbs.*:*ManagerExit*'
      ;;
    *)
      gtest integration '*APidFile*:*AForking*:*AStrangers*:*-BadInput.*Refused*:BadInput.*Say*:BadInput.*Named*:BadInput.*Is*:BadInput.*Whole*:BadInput.AFull*:*AnIdleDaemon*:*Postgresql*:*Apache*'
      gtest bus '*'
      gtest cli '*'
      ;;
  esac
}

echo "guest: $(uname -r), $(nproc) CPUs, controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
# Alone: it counts what the whole machine has, and wraps its PIDs.
part pidfds "$build/tests/kernel/pidfs_test" --expect $expect --count $count --patience $slower
[ "$stress" = 0 ] || limit=$((stress + 900)) part stress "$build/tests/kernel/pidfs_test" --stress "$stress" --patience $slower
# Two at once are for two CPUs: on one, clients would give up waiting for a daemon that others keep from running.
if [ "$(nproc)" -gt 1 ]; then
  processes &
  services &
  wait
else
  processes
  services
fi
# Ends of test_sys and pidfs_test are asked for; one of these is not.
if dmesg | grep -E '(traps: | )pidward[a-z]*\[[0-9]+\](: segfault|.* fault)' > $results/crashes; then
  echo "FAIL  a program of pidward's crashed:"
  tee $results/crashes.failed < $results/crashes
fi
ls $results/*.failed > /dev/null 2>&1 && exit 1
exit 0
