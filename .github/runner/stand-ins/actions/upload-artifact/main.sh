#!/usr/bin/env bash
# Copy what matches PATTERNS to the folder of the artifact NAME.
set -euo pipefail
shopt -s globstar nullglob

target=$PIPELINES_ARTIFACTS/$NAME
[[ $OVERWRITE != true ]] || rm -rf "$target"
if [[ -e $target ]]; then
  echo "::error::an artifact named $NAME exists already"
  exit 1
fi
while read -r pattern; do
  while read -r path; do
    [[ -e $path ]] || continue # compgen repeats what is no pattern
    mkdir -p "$target"
    if [[ -d $path ]]; then cp -r "$path/." "$target"; else cp "$path" "$target"; fi
  done < <(compgen -G "$pattern" || true)
done <<<"$PATTERNS"
if [[ ! -e $target ]]; then
  case $ABSENT in
    error) echo "::error::no file matches $PATTERNS" && exit 1 ;;
    warn) echo "::warning::no file matches $PATTERNS" ;;
  esac
fi
echo "artifact-url=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID/artifacts/$NAME" >>"$GITHUB_OUTPUT"
