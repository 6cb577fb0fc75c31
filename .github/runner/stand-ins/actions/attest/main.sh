#!/usr/bin/env bash
# Write the digests of SUBJECTS, or DIGEST of the image NAME, to the bundle; there must be at least one.
# They are kept for the stand-in for gh attestation verify.
set -euo pipefail

bundle=$(mktemp --tmpdir="$RUNNER_TEMP")
if [[ $DIGEST ]]; then
  [[ $DIGEST == sha256:* && $NAME && $NAME == "${NAME,,}" && $NAME != *@* ]]
  echo "${DIGEST#sha256:}  $NAME" | tee "$bundle"
else
  compgen -G "$SUBJECTS" | xargs -d '\n' sha256sum -- | tee "$bundle"
fi
# The certificate names the file of the workflow; here it is found by its name.
signer=$(grep --files-with-matches --recursive --line-regexp "name: $GITHUB_WORKFLOW" .github/workflows)
while read -r digest _; do
  echo "$GITHUB_REPOSITORY $GITHUB_SHA $GITHUB_REPOSITORY/$signer" >"$PIPELINES_ATTESTATIONS/$digest"
done <"$bundle"
echo "bundle-path=$bundle" >>"$GITHUB_OUTPUT"
