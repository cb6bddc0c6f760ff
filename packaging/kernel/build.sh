#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Applies the series to Debian's linux-source-6.1 and builds a small kernel to test it with.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
package=linux-source-6.1
tarball=/usr/src/$package.tar.xz

usage() {
	cat <<'EOF'
usage: packaging/kernel/build.sh [OPTION]...

Gets linux-source-6.1 from apt, applies the patches that the file "series"
names, and builds a small x86_64 kernel. What was built before is not built
again unless the source package, a patch or the configuration has changed.

  --variant WHICH   patched (default): the series, CONFIG_FS_PID=y
                    off: the series, CONFIG_FS_PID not set
                    debug: as patched, with KASAN, lockdep, ODEBUG and kmemleak
                    all: patched and off
  --deb             build Debian packages of the kernel with the series, in
                    DIR/deb: image, headers and linux-libc-dev
  --config WHICH    what --deb builds: debian (default), the configuration of
                    Debian's own kernel, from its package linux-config-6.1;
                    tiny, that of the test kernel; or a file, such as
                    /boot/config-$(uname -r). CONFIG_FS_PID is added.
  --each            build every prefix of the series, with the option on and
                    off, in a configuration with little besides what the
                    series touches, and end (for those who change the patches)
  --check           run checkpatch.pl --strict on every patch, and end
  --print           print nothing but the path of the kernel image
  --jobs N          how many jobs to run at once (the number of CPUs)
  --cache DIR       where trees and kernels are kept; by default
                    $PIDWARD_KERNEL_CACHE, or else
                    $XDG_CACHE_HOME/pidward/kernel (~/.cache/pidward/kernel)
  --nice N          how nice to be to others (10)
  -h, --help        this text

Images are left in DIR as bzImage-WHICH.
EOF
}

die() {
	echo "build.sh: $*" >&2
	exit 1
}

say() {
	echo "build.sh: $*" >&2
}

variant=patched
mode=build
print=no
config=debian
jobs=$(nproc)
niceness=10
cache=${PIDWARD_KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pidward/kernel}

while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	--deb) mode=deb ;;
	--each) mode=each ;;
	--check) mode=check ;;
	--print) print=yes ;;
	--variant | --config | --jobs | --cache | --nice)
		[ $# -ge 2 ] || die "$1 needs a value (see --help)"
		case $1 in
		--variant) variant=$2 ;;
		--config) config=$2 ;;
		--jobs) jobs=$2 ;;
		--cache) cache=$2 ;;
		--nice) niceness=$2 ;;
		esac
		shift
		;;
	*) die "unknown option '$1' (see --help)" ;;
	esac
	shift
done
case $variant in
patched | off | debug | all) ;;
*) die "no variant '$variant' (see --help)" ;;
esac
case $cache in
/*) ;;
*) cache=$PWD/$cache ;;
esac

# --- what is needed -----------------------------------------------------------

packages=()
[ -f "$tarball" ] || packages+=("$package")
for pair in gcc:build-essential make:build-essential flex:flex bison:bison bc:bc \
	xz:xz-utils patch:patch perl:perl cpio:cpio; do
	command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
done
[ -e /usr/include/libelf.h ] || packages+=(libelf-dev)
[ -d /usr/include/openssl ] || packages+=(libssl-dev)
debian_config=/usr/src/linux-config-6.1/config.amd64_none_amd64.xz
if [ $mode = deb ]; then
	for pair in rsync:rsync depmod:kmod dpkg-buildpackage:dpkg-dev; do
		command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
	done
	case $config in
	debian) [ -f "$debian_config" ] || packages+=(linux-config-6.1) ;;
	tiny) ;;
	*) [ -f "$config" ] || die "no configuration '$config' (see --help)" ;;
	esac
fi
if [ ${#packages[@]} -gt 0 ]; then
	say "installing ${packages[*]}"
	apt-get install -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1 ||
		{ apt-get update >/dev/null 2>&1 &&
			apt-get install -y --no-install-recommends "${packages[@]}" >/dev/null; } ||
		die "apt-get cannot install ${packages[*]}"
fi

patches=()
while read -r name _; do
	case $name in
	'' | '#'*) ;;
	*) patches+=("$name") ;;
	esac
done <"$here/series"

mkdir -p "$cache"
exec 9>"$cache/lock"

# A name for what goes into the tree.
tree_key() { # tree_key PATCH...
	{
		sha256sum <"$tarball"
		for p; do
			sha256sum <"$here/$p"
		done
	} | sha256sum | cut -c1-32
}

# --- trees --------------------------------------------------------------------

unpack() { # unpack DIR
	say "unpacking $tarball"
	rm -rf "$1" "$1.new"
	mkdir -p "$1.new"
	tar -xJf "$tarball" -C "$1.new" --strip-components=1
	mv "$1.new" "$1"
}

apply() { # apply DIR PATCH
	say "applying $2"
	patch -d "$1" -p1 --silent --forward --no-backup-if-mismatch <"$here/$2" ||
		die "$2 does not apply to $package"
}

# The tree with the whole series. A changed patch is taken back and applied
# anew, so that only what it touches is built again.
prepare() { # prepare DIR
	local dir=$1 key saved n=0 p old
	key=$(tree_key "${patches[@]}")
	[ -f "$dir/.pidward-key" ] && [ "$(cat "$dir/.pidward-key")" = "$key" ] && return
	saved=$dir/.pidward-applied
	if [ -d "$saved" ] && [ "$(cat "$saved/tarball" 2>/dev/null)" = "$(tree_key)" ]; then
		old=("$saved"/*.patch)
		for ((n = ${#old[@]} - 1; n >= 0; n--)); do
			patch -d "$dir" -p1 --silent -R --no-backup-if-mismatch <"${old[n]}" ||
				{ rm -rf "$saved" && break; }
		done
		n=0
	fi
	if [ ! -d "$saved" ] || [ "$(cat "$saved/tarball" 2>/dev/null)" != "$(tree_key)" ]; then
		unpack "$dir"
	fi
	rm -rf "$saved" "$dir/.pidward-key"
	mkdir "$saved"
	for p in "${patches[@]}"; do
		apply "$dir" "$p"
		n=$((n + 1))
		cp "$here/$p" "$saved/$(printf '%04d' $n).patch"
	done
	tree_key >"$saved/tarball"
	echo "$key" >"$dir/.pidward-key"
}

configure() { # configure TREE OBJECTS FRAGMENT...
	local tree=$1 out=$2 f line
	shift 2
	mkdir -p "$out"
	run make -s -C "$tree" O="$out" tinyconfig >/dev/null
	for f; do
		cat "$here/configs/$f.config" >>"$out/.config"
	done
	run make -s -C "$tree" O="$out" olddefconfig 2>/dev/null
	for f; do
		while read -r line; do
			case $line in
			CONFIG_*=* | '# CONFIG_'*' is not set') ;;
			*) continue ;;
			esac
			# what does not exist is as good as not set
			case $line in
			'# '*)
				line=${line#\# }
				! grep -q "^${line%% *}=" "$out/.config" ||
					die "$f.config: ${line%% *} is set all the same"
				;;
			*)
				grep -qxF -e "$line" "$out/.config" ||
					die "$f.config: $line was dropped"
				;;
			esac
		done <"$here/configs/$f.config"
	done
}

run() {
	nice -n "$niceness" "$@"
}

compile() { # compile TREE OBJECTS
	KBUILD_BUILD_TIMESTAMP='1970-01-01' KBUILD_BUILD_USER=pidward KBUILD_BUILD_HOST=pidward \
		run make -s -C "$1" O="$2" -j"$jobs" bzImage </dev/null >&2 || die "the build failed"
}

# What is there already is there for everybody, also while another kernel is built.
is_current() { # is_current IMAGE KEY
	[ -f "$1" ] && [ "$(cat "$1.key" 2>/dev/null)" = "$2" ]
}

build() { # build VARIANT
	local out=$cache/build-$1 image=$cache/bzImage-$1 key fragments begin
	case $1 in
	patched) fragments=(base patched) ;;
	off) fragments=(base off) ;;
	debug) fragments=(base patched debug) ;;
	esac
	key=$({
		tree_key "${patches[@]}"
		for f in "${fragments[@]}"; do
			cat "$here/configs/$f.config"
		done
		gcc --version
	} | sha256sum)
	is_current "$image" "$key" || flock 9
	if ! is_current "$image" "$key"; then
		begin=$(date +%s)
		prepare "$cache/linux"
		if [ "$(cat "$out/.pidward-config" 2>/dev/null)" != "$key" ]; then
			configure "$cache/linux" "$out" "${fragments[@]}"
			echo "$key" >"$out/.pidward-config"
		fi
		say "building the $1 kernel"
		compile "$cache/linux" "$out"
		cp "$out/arch/x86/boot/bzImage" "$image.new"
		mv "$image.new" "$image"
		echo "$key" >"$image.key"
		say "built $image in $(($(date +%s) - begin)) s"
		flock -u 9
	fi
	if [ $print = yes ]; then
		echo "$image"
	else
		echo "$1 $image"
	fi
}

each() {
	local tree=$cache/each i n=0 p fragments v
	unpack "$tree"
	for p in "${patches[@]}"; do
		apply "$tree" "$p"
		n=$((n + 1))
		for v in patched off; do
			fragments=(small "$v")
			configure "$tree" "$cache/each-$v" "${fragments[@]}"
			say "building $n of ${#patches[@]}, $v"
			compile "$tree" "$cache/each-$v"
			i=$(wc -c <"$cache/each-$v/arch/x86/boot/bzImage")
			echo "$p $v: bzImage of $i bytes"
		done
	done
	rm -rf "$tree" "$cache/each-patched" "$cache/each-off"
}

# Packages are written beside the folder of objects, by the tree's own rules.
deb() {
	local tree=$cache/linux out=$cache/deb/objects package
	prepare "$tree"
	mkdir -p "$out"
	rm -f "$cache"/deb/*.deb
	case $config in
	tiny) configure "$tree" "$out" base patched ;;
	*)
		if [ "$config" = debian ]; then
			xz -dc "$debian_config" >"$out/.config"
		else
			cp "$config" "$out/.config"
		fi
		# Without the keys that Debian signs with, and without the debug information
		# that only its own tools can make.
		"$tree/scripts/config" --file "$out/.config" --enable FS_PID \
			--set-str SYSTEM_TRUSTED_KEYS "" --disable MODULE_SIG_FORCE --disable DEBUG_INFO_BTF
		run make -s -C "$tree" O="$out" olddefconfig
		grep -qx CONFIG_FS_PID=y "$out/.config" || die "CONFIG_FS_PID cannot be set in $config"
		;;
	esac
	say "building packages"
	run make -s -C "$tree" O="$out" -j"$jobs" LOCALVERSION=-pidfs bindeb-pkg </dev/null >&2 ||
		die "the build of the packages failed"
	for package in "$cache"/deb/*.deb; do
		[ -f "$package" ] || die "the build left no package"
		echo "$package"
	done
}

check() {
	local p rc=0
	prepare "$cache/linux"
	for p in "${patches[@]}"; do
		echo "$p:"
		# Neither signed off nor entered in MAINTAINERS: README.md says why.
		(cd "$cache/linux" && perl scripts/checkpatch.pl --strict --no-signoff \
			--ignore FILE_PATH_CHANGES --terse \
			"$here/$p" 2>/dev/null) || rc=1
	done
	return $rc
}

[ $mode = build ] || flock 9
case $mode in
each) each ;;
deb) deb ;;
check) check ;;
build)
	if [ "$variant" = all ]; then
		build patched
		build off
	else
		build "$variant"
	fi
	;;
esac
