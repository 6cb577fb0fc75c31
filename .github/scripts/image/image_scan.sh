#!/usr/bin/env bash
# Scan an image with Trivy; fail for what is grave and has a fix.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: image_scan.sh IMAGE FOLDER

Writes what Trivy finds to FOLDER: trivy.sarif has everything, fixable.sarif what
is HIGH or CRITICAL and has a fix. Shows the latter in the job summary. Fails if
there is any, and if Trivy could not look: that is no pass. size.json says how large
the image is, unpacked, for the history of the performance.
HELP
}

scan() {
  trivy image --config '' --quiet --scanners vuln --format sarif --skip-version-check "$@" 2> >(tee "$LOG" >&2)
}

tell() { python3 "$(dirname "$0")/../lib/workflow_commands.py" "$@"; }

tell_accepted() {
  local ids
  ids=$(grep -v '^ *\(#\|$\)' .trivyignore | tr '\n' ' ') || return 0
  tell notice 'Accepted in .trivyignore' "$ids"
  tell summary '⚠️ Accepted in .trivyignore' "$ids"
}

tell_database() {
  local day
  day=$(trivy version --format json | jq --raw-output '.VulnerabilityDB.UpdatedAt // "unknown date" | .[:10]')
  printf 'Database of %s; %s findings of any kind are in the artifact.\n\n' "$day" \
    "$(jq '[.runs[].results[]] | length' "$1/trivy.sarif")" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  (($# == 2)) || { show_help >&2 && return 2; }
  local image=$1 folder=$2 code=0
  LOG=$(mktemp)
  trap 'rm -f "$LOG"' EXIT
  mkdir -p "$folder"
  docker image inspect --format '{"bytes": {{.Size}}}' "$image" >"$folder/size.json"
  if ! scan --ignorefile '' --output "$folder/trivy.sarif" "$image" || ! scan --skip-db-update --ignore-unfixed \
    --severity HIGH,CRITICAL --output "$folder/fixable.sarif" "$image"; then
    tell fail "Trivy could not look" "Nothing is known about the image. If its database did not answer, run this job again." --log "$LOG"
    return 1
  fi
  uv run --no-project .github/scripts/codeql/sarif_report.py --gate --name="Trivy: grave and fixable" "$folder/fixable.sarif" || code=$?
  tell_database "$folder"
  [[ ! -f .trivyignore ]] || tell_accepted
  return "$code"
}

main "$@"
