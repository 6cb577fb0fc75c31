#!/usr/bin/env bash
# Build an image with the engine's own builder; push it if asked.
set -euo pipefail

log=$RUNNER_TEMP/build-push.log

# Prints its lines as options OPTION=LINE.
as_options() {
  sed -n "/./s/^/$1=/p" <<<"$2"
}

# What the real action says of its builder.
explain() {
  echo "::error::buildx failed with: $(grep . "$log" | tail -n 1)"
  exit 1
}

mapfile -t options < <(as_options --build-arg "$INPUT_BUILD_ARGS" && as_options --label "$INPUT_LABELS")
docker buildx build --load --progress=plain --platform="$INPUT_PLATFORMS" --tag="$INPUT_TAGS" "${options[@]}" "$INPUT_CONTEXT" 2>&1 |
  tee "$log" || explain
if [[ $INPUT_PUSH == true ]]; then
  docker push "$INPUT_TAGS" 2>&1 | tee "$log" || explain
  sed -n 's/.* digest: \([^ ]*\) .*/digest=\1/p' "$log" >>"$GITHUB_OUTPUT"
  echo "::notice title=Stand-in::Neither provenance nor SBOM was made of $INPUT_PLATFORMS: GitHub's builder makes them."
fi
