#!/usr/bin/env bash
# Run a check and say in the job summary how it ended.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: check.sh [--fix COMMAND] NAME COMMAND [ARGUMENT...]

Runs COMMAND, shows its output, and adds a section NAME to the job summary: the
last line when it succeeds, the last 40 lines when it fails. Ends with the exit
code of COMMAND. --fix names the command that puts a failure right.
HELP
}

# Prints standard input as a Markdown code block that its content cannot close.
quote_output() {
  local text fence='```'
  text=$(sed $'s/\x1b\\[[0-9;]*[a-zA-Z]//g')
  while [[ $text == *"$fence"* ]]; do fence+='`'; done
  printf '%stext\n%s\n%s\n\n' "$fence" "$text" "$fence"
}

report() {
  local name=$1 status=$2 fix=$3 log=$4
  if ((status == 0)); then
    printf '### ✅ %s\n\n' "$name"
    if grep -q '[^[:space:]]' "$log"; then grep '[^[:space:]]' "$log" | tail -n 1 | quote_output; fi
  else
    printf '### ❌ %s\n\nEnded with exit code %s.%s\n\n' "$name" "$status" "${fix:+ To put it right: \`$fix\`}"
    tail -n 40 "$log" | quote_output
  fi
}

main() {
  local fix='' name status=0
  case ${1:-} in
    --help) show_help && return ;;
    --fix) fix=$2 && shift 2 ;;
  esac
  (($# >= 2)) || { show_help >&2 && return 2; }
  name=$1 && shift
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  "$@" 2>&1 | tee "$log" || status=$?
  report "$name" "$status" "$fix" "$log" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
  if ((status != 0)); then
    printf '::error title=%s::%s\n' "$name" "${fix:+To put it right: $fix. }The job summary shows the last lines of the output."
  fi
  return "$status"
}

main "$@"
