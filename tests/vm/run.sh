#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Boots a kernel in QEMU with what it is given, runs a command there, brings back
# its output and exit status, and fails when the kernel complains about anything.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

usage() {
	cat <<'EOF'
usage: tests/vm/run.sh [OPTION]... [--cmd COMMAND]

Boots a kernel under QEMU (software emulation, no KVM), runs COMMAND in a shell
as a child of PID 1, shows what it prints, and ends with its exit status.
Without --cmd it builds and runs the kernel self-test of tests/kernel.

  --kernel WHICH     patched (default), off, debug, or the path of a bzImage
  --host             the guest's root is this machine's, with everything that is
                     installed here where it is here; what the guest writes
                     stays in its memory
  --cmd COMMAND      what to run, as a shell command line
  --bin FILE[:DST]   pack a program and the shared libraries it needs; DST is
                     where it goes, /usr/bin/NAME if not given; repeatable
  --file SRC:DST     pack a file as it is; repeatable
  --tree SRC:DST     pack a directory with everything in it, and the libraries
                     that programs in it need; repeatable
  --get PATH:FILE    afterwards, copy PATH of the guest to FILE; repeatable
  --env NAME=VALUE   set a variable for COMMAND; repeatable
  --append WORDS     add to the kernel command line
  --smp N            CPUs of the guest (2)
  --mem MIB          its memory (1024; 2048 with --host; 3072 with the debug
                     kernel)
  --timeout SECONDS  end everything after that long (900; longer with the debug
                     kernel and with --stress)
  --stress SECONDS   run the stress of tests/kernel for that long
  --work DIR         keep the packed files, console.log and dmesg there
  -h, --help         this text

Exit status: that of COMMAND; 97 if the kernel printed a warning, an oops, or a
lockdep, KASAN, ODEBUG or kmemleak report; 98 if the guest never reported a
status; 99 if something is wrong here.

In the guest: a root file system in memory with busybox, /proc, /sys, /dev,
/dev/pts, /dev/shm, /run and /tmp mounted (not /tmp with --host), cgroup v2
alone on /sys/fs/cgroup with all controllers enabled for children of the root,
and the loopback device up. COMMAND runs as root, in the root cgroup.
EOF
}

die() {
	echo "run.sh: $*" >&2
	exit 99
}

say() {
	echo "run.sh: $*" >&2
}

need() { # need PROGRAM PACKAGE
	command -v "$1" >/dev/null && return
	say "installing $2"
	apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1 ||
		die "no $1, and apt-get cannot install $2"
}

kernel=patched
host=
cmd=
smp=2
mem=
limit=
stress=
append=
work=
bins=()
files=()
trees=()
gets=()
envs=()

while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	--host)
		host=1
		shift
		;;
	--*)
		[ $# -ge 2 ] || die "$1 needs a value (see --help)"
		case $1 in
		--kernel) kernel=$2 ;;
		--cmd) cmd=$2 ;;
		--bin) bins+=("$2") ;;
		--file) files+=("$2") ;;
		--tree) trees+=("$2") ;;
		--get) gets+=("$2") ;;
		--env) envs+=("$2") ;;
		--append) append=$2 ;;
		--smp) smp=$2 ;;
		--mem) mem=$2 ;;
		--timeout) limit=$2 ;;
		--stress) stress=$2 ;;
		--work) work=$2 ;;
		*) die "unknown option $1 (see --help)" ;;
		esac
		shift 2
		;;
	*) die "unexpected argument '$1' (see --help)" ;;
	esac
done

need qemu-system-x86_64 qemu-system-x86
need cpio cpio

need busybox busybox

# --- the kernel ---------------------------------------------------------------

case $kernel in
patched | off | debug)
	image=$("$top/packaging/kernel/build.sh" --variant "$kernel" --print) ||
		die "cannot build the $kernel kernel"
	;;
*)
	image=$kernel
	;;
esac
[ -f "$image" ] || die "no kernel image '$image'"
# The debug kernel is several times slower, and wants memory for its shadow.
slower=1
[ "$kernel" = debug ] && slower=3
if [ $slower -gt 1 ]; then
	: "${mem:=3072}"
fi
: "${mem:=$((1024 + 1024 * ${host:-0}))}"
: "${limit:=$((900 * slower + ${stress:-0} * 2))}"

if [ -n "$work" ]; then
	mkdir -p "$work"
else
	work=$(mktemp -d "${TMPDIR:-/tmp}/pidward-vm.XXXXXX")
	trap 'rm -rf "$work"' EXIT
fi

# --- the file system ----------------------------------------------------------

root=$work/root
rm -rf "$root"
mkdir -p "$root"/{dev,proc,sys,run,tmp,root,home,mnt,var/lib,var/log,etc} \
	"$root"/usr/{bin,sbin,lib,lib64,share}
chmod 1777 "$root/tmp"
for d in bin sbin lib lib64; do
	ln -s "usr/$d" "$root/$d"
done
ln -s ../run "$root/var/run"

pack_libraries() { # pack_libraries FILE
	ldd "$1" 2>/dev/null | while read -r a arrow b _; do
		case $arrow$b in
		'=>/'*) lib=$b ;;
		'=>not') die "$1 needs $a, which is not there" ;;
		*)
			case $a in
			/*) lib=$a ;;
			*) continue ;;
			esac
			;;
		esac
		[ -e "$root$lib" ] && continue
		mkdir -p "$root$(dirname "$lib")"
		cp -L "$lib" "$root$lib"
	done
}

is_elf() {
	[ "$(head -c 4 "$1" 2>/dev/null | od -An -tx1 | tr -d ' ')" = 7f454c46 ]
}

split() { # split SRC:DST DEFAULT -> src, dst
	src=${1%%:*}
	case $1 in
	*:*) dst=${1#*:} ;;
	*) dst=$2 ;;
	esac
	[ -n "$dst" ] || die "'$1' lacks a destination"
	case $dst in
	/*) ;;
	*) die "'$dst' in '$1' is not an absolute path" ;;
	esac
	[ -e "$src" ] || die "no such file: $src"
}

busybox=$(command -v busybox)
cp -L "$busybox" "$root/usr/bin/busybox"
pack_libraries "$busybox"
for spec in ${bins[@]+"${bins[@]}"}; do
	split "$spec" "/usr/bin/$(basename "${spec%%:*}")"
	mkdir -p "$root$(dirname "$dst")"
	cp -L "$src" "$root$dst"
	chmod 755 "$root$dst"
	if is_elf "$src"; then
		pack_libraries "$src"
	fi
done
for spec in ${files[@]+"${files[@]}"}; do
	split "$spec" ""
	mkdir -p "$root$(dirname "$dst")"
	cp -L "$src" "$root$dst"
done
for spec in ${trees[@]+"${trees[@]}"}; do
	split "$spec" ""
	mkdir -p "$root$dst"
	cp -a "$src/." "$root$dst/"
	while IFS= read -r f; do
		if is_elf "$f"; then
			pack_libraries "$f"
		fi
	done < <(find "$src" -type f \( -perm -u+x -o -name '*.so*' \))
done

if [ -z "$cmd" ]; then
	[ -z "$host" ] || die "--host wants a --cmd"
	need cc gcc
	cc -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -static -pthread \
		-o "$root/usr/bin/pidfs_test" "$top"/tests/kernel/*.c ||
		die "cannot build the self-test"
	cmd=pidfs_test
	case $kernel in
	patched) cmd="pidfs_test --expect patched" ;;
	debug) cmd="pidfs_test --expect patched --count 20000 --patience 20" ;;
	off) cmd="pidfs_test --expect off" ;;
	esac
	[ -n "$stress" ] && cmd="pidfs_test --stress $stress --patience 20"
elif [ -n "$stress" ]; then
	die "--stress and --cmd exclude each other"
fi

if [ -n "$host" ] && [ $((${#bins[@]} + ${#files[@]} + ${#trees[@]})) != 0 ]; then
	die "--host has everything already: no --bin, --file or --tree"
fi
[ -e "$root/etc/passwd" ] || cat >"$root/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/:/bin/false
messagebus:x:100:100:bus:/:/bin/false
test:x:1000:1000:test:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
EOF
[ -e "$root/etc/group" ] || cat >"$root/etc/group" <<'EOF'
root:x:0:
daemon:x:1:
tty:x:5:
messagebus:x:100:
test:x:1000:
nogroup:x:65534:
EOF
[ -e "$root/etc/nsswitch.conf" ] || cat >"$root/etc/nsswitch.conf" <<'EOF'
passwd: files
group: files
hosts: files
EOF
[ -e "$root/etc/hosts" ] || echo "127.0.0.1 localhost pidward-vm" >"$root/etc/hosts"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"

{
	echo '#!/bin/sh'
	for e in ${envs[@]+"${envs[@]}"}; do
		case $e in
		*=*) printf "export %s='%s'\n" "${e%%=*}" "${e#*=}" ;;
		*) die "--env wants NAME=VALUE, not '$e'" ;;
		esac
	done
	printf '%s\n' "$cmd"
} >"$root/command"

{
	for g in ${gets[@]+"${gets[@]}"}; do
		echo "${g%%:*}"
	done
} >"$root/gets"

cp "$here/init" "$root/init"
chmod 755 "$root/init" "$root/command"
ln -sf busybox "$root/usr/bin/sh"

(cd "$root" && find . -print0 | cpio --null --quiet -o -H newc -R 0:0) >"$work/initramfs"
rm -rf "$root"

# --- the machine --------------------------------------------------------------
# First serial line: the kernel's console. Second: what the command prints.
# Third: its exit status. Fourth: the files asked for.

# A machine that is busy lets the guest stand still for a while: that is no fault of the guest's.
patience="no_timer_check watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120"
patience="$patience sysctl.kernel.hung_task_timeout_secs=600"

# What the emulated processor counts is this one's counter, and the emulated timer chips are too slow to measure it by:
# without help the guest's clock has steps of a tick.
clock=
if grep -qw constant_tsc /proc/cpuinfo && command -v cc >/dev/null &&
	cc -O2 -o "$work/tsc" "$here/tsc.c" 2>/dev/null; then
	clock="tsc=reliable tsc_early_khz=$("$work/tsc")"
	rm "$work/tsc"
fi

share=()
if [ -n "$host" ]; then
	share=(-fsdev "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"
		-device "virtio-9p-pci,fsdev=host,mount_tag=host")
	append="pidward_host=1 $append"
fi

# Without the "fast" string instructions, with which kernel and libc move single bytes: emulated, those are slow.
: >"$work/status"
rm -f "$work/console.log" "$work/files.tar"
begin=$(date +%s)
rc=0
timeout --kill-after=5 "$limit" qemu-system-x86_64 \
	-accel tcg,thread=multi -cpu max,-erms,-fsrm -machine pc -smp "$smp,sockets=$smp" -m "$mem" \
	-display none -nodefaults -no-reboot \
	${share[@]+"${share[@]}"} \
	-kernel "$image" -initrd "$work/initramfs" \
	-append "console=ttyS0 loglevel=7 panic=-1 oops=panic rdinit=/init random.trust_cpu=on $patience $clock $append" \
	-serial "file:$work/console.log" \
	-chardev stdio,id=out,signal=off -serial chardev:out \
	-serial "file:$work/status" \
	-serial "file:$work/files.tar" </dev/null || rc=$?
end=$(date +%s)
rm -f "$work/initramfs"

status=$(tr -d '\r\n' <"$work/status")

# --- the verdict --------------------------------------------------------------

bad='BUG:|WARNING:|INFO: (possible|task|trying|rcu|suspicious|inconsistent)|suspicious RCU'
bad="$bad|Oops|general protection fault|Kernel panic|KASAN|UBSAN|ODEBUG"
bad="$bad|(inconsistent|possible) .*lock|Call Trace|refcount_t|list_(add|del) corruption"
bad="$bad|kmemleak: [0-9]+ new suspected|rcu: INFO|Bad page|cut here"
bad="$bad|run.sh-guest: (tainted|leak)"
# When a limit of memory is reached the kernel says so with a back-trace, and that is none of its complaints.
awk '/invoked oom-killer/ { told = 1 } told && /Call Trace:/ { told = 0; $0 = "" } { print }' \
	"$work/console.log" >"$work/console.read"
if grep -nE "$bad" "$work/console.read" >"$work/complaints"; then
	say "the kernel complained:"
	first=$(head -n 1 "$work/complaints" | cut -d: -f1)
	tail -n "+$((first > 3 ? first - 3 : 1))" "$work/console.log" | head -n 120 >&2
	exit 97
fi
if [ "$rc" = 124 ] || [ "$rc" = 137 ]; then
	say "no end after $limit s; last words of the kernel:"
	tail -n 15 "$work/console.log" >&2
	exit 98
fi
case $status in
'' | *[!0-9]*)
	say "the guest reported no status; last words of the kernel:"
	tail -n 30 "$work/console.log" >&2
	exit 98
	;;
esac

if [ ${#gets[@]} -gt 0 ]; then
	mkdir -p "$work/files"
	tar -xf "$work/files.tar" -C "$work/files" 2>/dev/null || true
	for g in "${gets[@]}"; do
		if [ -e "$work/files/${g%%:*}" ]; then
			cp -r "$work/files/${g%%:*}" "${g#*:}"
		else
			say "nothing to copy at ${g%%:*}"
		fi
	done
fi
say "kernel $kernel: status $status after $((end - begin)) s, no complaint from the kernel"
exit "$status"
