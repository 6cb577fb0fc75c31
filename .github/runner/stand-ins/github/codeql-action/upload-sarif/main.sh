#!/usr/bin/env bash
# Send FILE to the API as the action does: checked, compressed and encoded.
set -euo pipefail

fail() {
  echo "::error::$1"
  exit 1
}

is_sarif='.version == "2.1.0" and (.runs | type == "array")
  and all(.runs[]; (.tool.driver.name | type == "string")
    and all((.results // [])[]; .message | type == "object"))'
[[ $(jq "$is_sarif" "$FILE" 2>/dev/null) == true ]] || fail "Unable to upload \"$FILE\" as it is not valid SARIF"
names=$(jq --raw-output '.runs[] | "\(.automationDetails.id // env.CATEGORY)_\(.tool.driver.name)"' "$FILE" |
  sed 's/[^a-zA-Z0-9_]/_/g')
for name in $(sort <<<"$names" | uniq --repeated); do
  fail "The CodeQL Action does not support uploading multiple SARIF runs with the same category: $name"
done
for name in $names; do
  sentinel=CODEQL_UPLOAD_SARIF_${name^^}
  [[ ! ${!sentinel:-} ]] ||
    fail "Aborting upload: only one run of the codeql/analyze or codeql/upload-sarif actions is allowed per job per tool/category. Category: $name"
  echo "$sentinel=$sentinel" >>"$GITHUB_ENV"
done

gzip --stdout "$FILE" | base64 --wrap=0 |
  jq --raw-input --compact-output '{commit_sha: env.GITHUB_SHA, ref: env.GITHUB_REF, sarif: .}' >"$RUNNER_TEMP/upload.json"
ask() { curl --silent --show-error -H "Authorization: Bearer $GITHUB_TOKEN" "$@"; }
address=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/code-scanning/sarifs
answer=$(ask --data "@$RUNNER_TEMP/upload.json" "$address")
id=$(jq --exit-status --raw-output .id <<<"$answer") || fail "$(jq --raw-output .message <<<"$answer")"
echo "sarif-id=$id" >>"$GITHUB_OUTPUT"
answer=$(ask "$address/$id")
if [[ $(jq --raw-output .processing_status <<<"$answer") == failed ]]; then
  fail "Code Scanning could not process the submitted SARIF file: $(jq --raw-output '.errors | join(",")' <<<"$answer")"
fi
