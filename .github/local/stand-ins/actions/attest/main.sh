#!/usr/bin/env bash
# Write the digests of SUBJECTS, or DIGEST of the image NAME, to the bundle; there must be at least one.
set -euo pipefail

bundle=$(mktemp)
if [[ $DIGEST ]]; then
  [[ $DIGEST == sha256:* && $NAME && $NAME == "${NAME,,}" && $NAME != *@* ]]
  echo "${DIGEST#sha256:}  $NAME" | tee "$bundle"
else
  compgen -G "$SUBJECTS" | xargs -d '\n' sha256sum -- | tee "$bundle"
fi
echo "bundle-path=$bundle" >>"$GITHUB_OUTPUT"
