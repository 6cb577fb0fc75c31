#!/usr/bin/env bash
# Copy an artifact, or those that match a pattern to folders of their own: one alone has none, nor
# have any that are to be merged.
set -euo pipefail

mkdir -p "$INPUT_PATH"
if [[ $INPUT_NAME ]]; then
  if [[ ! -d $PIPELINES_ARTIFACTS/$INPUT_NAME ]]; then
    echo "::error::there is no artifact $INPUT_NAME"
    exit 1
  fi
  cp -r "$PIPELINES_ARTIFACTS/$INPUT_NAME/." "$INPUT_PATH"
else
  mapfile -t found < <(compgen -G "$PIPELINES_ARTIFACTS/$INPUT_PATTERN" || true)
  if ((${#found[@]} == 1)) || [[ $INPUT_MERGE_MULTIPLE == true ]]; then
    for artifact in "${found[@]}"; do cp -r "$artifact/." "$INPUT_PATH"; done
  elif ((${#found[@]})); then
    cp -r -t "$INPUT_PATH" "${found[@]}"
  fi
fi
