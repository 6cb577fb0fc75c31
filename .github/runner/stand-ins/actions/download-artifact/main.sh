#!/usr/bin/env bash
# Copy an artifact, or those that match a pattern to folders of their own; one alone has none.
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
  if ((${#found[@]} == 1)); then
    cp -r "${found[0]}/." "$INPUT_PATH" # a single one gets no folder
  elif ((${#found[@]})); then
    cp -r -t "$INPUT_PATH" "${found[@]}"
  fi
fi
