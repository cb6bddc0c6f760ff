#!/bin/bash
# completion_test.sh FILE: what bash makes of words that are typed so far, with a pidwardctl that knows two units.
set -u
pidwardctl() {
  case "$*" in
    *list-units*) printf '%s loaded\n' 'odd\x2dname.service' fleet.service ;;
  esac
}
compopt() { :; }
# shellcheck disable=SC1090 # the file under test
source "$1"

completes() { # EXPECTED WORD...
  local expected=$1
  shift
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMPREPLY=()
  _pidwardctl
  [ "${COMPREPLY[*]}" = "$expected" ] && return
  echo "after '$*' comes '${COMPREPLY[*]}' and not '$expected'" >&2
  exit 1
}

completes fleet.service pidwardctl start fl
# The shell takes one backslash of two.
completes 'odd\\x2dname.service' pidwardctl start od
# Bash makes a word of "=".
completes service pidwardctl --type = ser
completes fleet.service pidwardctl --runtime-dir = /x start fl
completes fleet.service pidwardctl -t service start fl
completes "yes" pidwardctl --legend = y
completes fleet.service pidwardctl -P Id show fl
completes "all" pidwardctl kill --kill-who a
completes "set-default" pidwardctl --runtime-dir = /x set-d
