#!/usr/bin/env bash
# Send FILE to the API as the action does: compressed and encoded.
set -euo pipefail

gzip --stdout "$FILE" | base64 --wrap=0 |
  jq --raw-input --compact-output '{commit_sha: env.GITHUB_SHA, ref: env.GITHUB_REF, sarif: .}' >"$RUNNER_TEMP/upload.json"
ask() { curl --silent --show-error -H "Authorization: Bearer $GITHUB_TOKEN" "$@"; }
address=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/code-scanning/sarifs
answer=$(ask --data "@$RUNNER_TEMP/upload.json" "$address")
if ! id=$(jq --exit-status --raw-output .id <<<"$answer"); then
  echo "::error::$(jq --raw-output .message <<<"$answer")"
  exit 1
fi
echo "sarif-id=$id" >>"$GITHUB_OUTPUT"
answer=$(ask "$address/$id")
if [[ $(jq --raw-output .processing_status <<<"$answer") == failed ]]; then
  echo "::error::Code Scanning could not process the submitted SARIF file: $(jq --raw-output '.errors | join(",")' <<<"$answer")"
  exit 1
fi
