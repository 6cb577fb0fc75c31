#!/usr/bin/env bash
# Send FILE to the API as the action does: compressed and encoded.
set -euo pipefail

gzip --stdout "$FILE" | base64 --wrap=0 |
  jq --raw-input --compact-output '{commit_sha: env.GITHUB_SHA, ref: env.GITHUB_REF, sarif: .}' >"$RUNNER_TEMP/upload.json"
answer=$(curl --silent --show-error -H "Authorization: Bearer $GITHUB_TOKEN" --data "@$RUNNER_TEMP/upload.json" \
  "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/code-scanning/sarifs")
if ! jq --exit-status .id <<<"$answer" >/dev/null; then
  echo "::error::$(jq --raw-output .message <<<"$answer")"
  exit 1
fi
