#!/usr/bin/env bash
# Run a check and say in the job summary how it ended.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: check.sh [--fix COMMAND] [--cause REGEX] NAME COMMAND [ARGUMENT...]

Runs COMMAND, shows its output, and adds a section NAME to the job summary: the
last line when it succeeds, the last 40 lines when it fails. Ends with the exit
code of COMMAND. --fix names the command that puts a failure right. The
lines that match REGEX are named as the cause of a failure; else the last line.
HELP
}

tell() { python3 "$(dirname "$0")/../lib/workflow_commands.py" "$@"; }

main() {
  local cause='' fix='' name status=0
  while (($# >= 2)); do
    case $1 in
      --cause) cause=$2 ;;
      --fix) fix=$2 ;;
      *) break ;;
    esac
    shift 2
  done
  case ${1:-} in --help) show_help && return ;; esac
  (($# >= 2)) || { show_help >&2 && return 2; }
  name=$1 && shift
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  "$@" 2>&1 | tee "$log" || status=$?
  if ((status == 0)); then
    tell summary "✅ $name" --log "$log" --lines 1
  else
    tell fail "$name" "Ended with exit code $status. ${fix:+To put it right: $fix.}" --log "$log" --cause "$cause"
  fi
  return "$status"
}

main "$@"
