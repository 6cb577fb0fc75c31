#!/usr/bin/env bash
# Record what a stand-in was given: record.sh ACTION INPUTS, the inputs as JSON.
set -euo pipefail

printf '{"action": "%s", "job": "%s", "inputs": %s}\n' "$1" "$GITHUB_JOB" "${2//$'\n'/}" >>"$PIPELINES_RECORDS"
