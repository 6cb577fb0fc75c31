#!/usr/bin/env bash
# Copy the artifact NAME to TARGET, or the artifacts that match PATTERN to folders in it.
set -euo pipefail

mkdir -p "$TARGET"
if [[ $NAME ]]; then
  if [[ ! -d $PIPELINES_ARTIFACTS/$NAME ]]; then
    echo "::error::there is no artifact $NAME"
    exit 1
  fi
  cp -r "$PIPELINES_ARTIFACTS/$NAME/." "$TARGET"
else
  { compgen -G "$PIPELINES_ARTIFACTS/$PATTERN" || true; } | xargs -r -d '\n' cp -r -t "$TARGET"
fi
