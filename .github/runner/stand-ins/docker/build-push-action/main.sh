#!/usr/bin/env bash
# Build CONTEXT as TAG with ARGUMENTS and LABELS; push it if PUSH is true.
set -euo pipefail

# Prints its lines as options OPTION=LINE.
as_options() {
  sed -n "/./s/^/$1=/p" <<<"$2"
}

mapfile -t options < <(as_options --build-arg "$ARGUMENTS" && as_options --label "$LABELS")
docker buildx build --load --progress=plain --platform="$PLATFORM" --tag="$TAG" "${options[@]}" "$CONTEXT" 2>&1
if [[ $PUSH == true ]]; then
  docker push "$TAG" | tee /dev/stderr | sed -n 's/.* digest: \([^ ]*\) .*/digest=\1/p' >>"$GITHUB_OUTPUT"
  echo "::notice title=Stand-in::Neither provenance nor SBOM was made of $PLATFORM: GitHub's builder makes them."
fi
