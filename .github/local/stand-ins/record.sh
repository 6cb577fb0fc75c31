#!/usr/bin/env bash
# Record what a stand-in was given: record.sh ACTION INPUTS, the inputs as JSON.
set -euo pipefail

jq --compact-output --null-input --arg action "$1" --argjson inputs "$2" \
  '{action: $action, job: env.GITHUB_JOB, inputs: $inputs}' >>"$PIPELINES_RECORDS"
