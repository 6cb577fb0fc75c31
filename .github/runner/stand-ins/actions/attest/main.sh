#!/usr/bin/env bash
# Write a bundle about SUBJECTS, or DIGEST of the image NAME, unsigned; there must be at least one.
# The digests are kept for the stand-in for gh attestation verify.
set -euo pipefail

folder=$(mktemp --directory --tmpdir="$RUNNER_TEMP")
if [[ $DIGEST ]]; then
  [[ $DIGEST == sha256:* && $NAME && $NAME == "${NAME,,}" && $NAME != *@* ]]
  echo "${DIGEST#sha256:}  $NAME" | tee "$folder/subjects"
else
  compgen -G "$SUBJECTS" | xargs -d '\n' sha256sum -- | tee "$folder/subjects"
fi
# The certificate names the file of the workflow; here it is found by its name.
signer=$(grep --files-with-matches --recursive --line-regexp "name: $GITHUB_WORKFLOW" .github/workflows)
while read -r digest _; do
  echo "$GITHUB_REPOSITORY $GITHUB_SHA $GITHUB_REPOSITORY/$signer" >"$PIPELINES_ATTESTATIONS/$digest"
done <"$folder/subjects"
jq --raw-input --slurp --compact-output '{
  mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
  dsseEnvelope: {
    payloadType: "application/vnd.in-toto+json",
    payload: ({
      "_type": "https://in-toto.io/Statement/v1",
      predicateType: "https://slsa.dev/provenance/v1",
      subject: [split("\n")[] | select(. != "") | {name: (.[66:] | sub(".*/"; "")), digest: {sha256: .[:64]}}]
    } | tojson | @base64),
    signatures: []
  }
}' "$folder/subjects" >"$folder/attestation.json"
echo "bundle-path=$folder/attestation.json" >>"$GITHUB_OUTPUT"
