#!/usr/bin/env bash
# Write the digests of SUBJECTS to the bundle; there must be at least one.
set -euo pipefail

bundle=$(mktemp)
compgen -G "$SUBJECTS" | xargs -d '\n' sha256sum -- | tee "$bundle"
echo "bundle-path=$bundle" >>"$GITHUB_OUTPUT"
