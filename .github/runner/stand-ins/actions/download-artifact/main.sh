#!/usr/bin/env bash
# Copy the artifact NAME to TARGET, or the artifacts that match PATTERN to folders in it; one alone
# has no folder.
set -euo pipefail

mkdir -p "$TARGET"
if [[ $NAME ]]; then
  if [[ ! -d $PIPELINES_ARTIFACTS/$NAME ]]; then
    echo "::error::there is no artifact $NAME"
    exit 1
  fi
  cp -r "$PIPELINES_ARTIFACTS/$NAME/." "$TARGET"
else
  mapfile -t found < <(compgen -G "$PIPELINES_ARTIFACTS/$PATTERN" || true)
  if ((${#found[@]} == 1)); then
    cp -r "${found[0]}/." "$TARGET" # a single one gets no folder
  elif ((${#found[@]})); then
    cp -r -t "$TARGET" "${found[@]}"
  fi
fi
