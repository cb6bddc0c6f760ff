#!/bin/sh
# make_root.sh DIR PACKAGE...: a root file system of the files that these installed Debian packages, and all they depend
# on, consist of; with the accounts that their installation made.
set -eu
root=$1
shift

packages=' '
wanted=$*
while [ -n "$wanted" ]; do
  next=
  for package in $wanted; do
    case "$packages" in *" $package "*) continue ;; esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)" = installed ] || continue
    packages="$packages$package "
    # All alternatives: those that are installed are there for somebody.
    next="$next $(dpkg-query -W -f '${Pre-Depends}, ${Depends}' "$package" | tr ',|' '\n\n' | sed 's/[(:].*//; s/ //g')"
  done
  wanted=$next
done

for directory in bin sbin lib lib64; do
  mkdir -p "$root/usr/$directory"
  ln -sfn "usr/$directory" "$root/$directory"
done
# shellcheck disable=SC2086  # a list of words
dpkg -L $packages | grep '^/' | grep -v -e '^/usr/share/\(doc\|man\|locale\|info\|lintian\)/' -e '^/\.$' | sort -u |
  sed 's|^/||' | { cd / && tar --no-recursion --ignore-failed-read -T - -cf - 2> /dev/null || true; } |
  tar --keep-directory-symlink -xpf - -C "$root"
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/etc"
chmod 1777 "$root/tmp"
cp -p /etc/passwd /etc/group "$root/etc/"
ldconfig -r "$root"
