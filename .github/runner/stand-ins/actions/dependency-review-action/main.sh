#!/usr/bin/env bash
# Fail for a vulnerability that is moderate or worse, or for a denied licence, from BASE to HEAD.
set -euo pipefail

grep -q '^fail-on-severity: moderate$' "$CONFIG"
address=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/dependency-graph/compare/$BASE...$HEAD
if ! changes=$(curl --silent --show-error --fail -H "Authorization: Bearer $GITHUB_TOKEN" "$address"); then
  echo "::error::Dependency review is not supported on this repository."
  exit 1
fi
denied=$(sed -n '/^deny-licenses:/,/^$/s/^  - \([^ ]*\).*/\1/p' "$CONFIG" | jq --raw-input . | jq --slurp .)
found=$(jq --raw-output --argjson denied "$denied" '
  .[] | select(.change_type == "added") | .name as $name
  | (.vulnerabilities[]? | select(.severity | IN("moderate", "high", "critical"))
      | "\($name): \(.advisory_ghsa_id)"),
    (.license | select(IN($denied[])) | "\($name): \(.)")
' <<<"$changes")
printf '### Dependency Review\n\n%s\n' "${found:-No vulnerabilities or license issues found.}" >>"$GITHUB_STEP_SUMMARY"
if [[ $found ]]; then
  echo "::error::Dependency review detected vulnerable packages or incompatible licenses."
  exit 1
fi
