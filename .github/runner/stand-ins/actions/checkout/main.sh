#!/usr/bin/env bash
# Clone the throw-away repository at a ref, as deep as asked. A tag that started the run
# must still be where it was, as for the action itself.
set -euo pipefail

tag='' ref=${INPUT_REF:-$GITHUB_SHA}
[[ $ref != "$GITHUB_SHA" || $GITHUB_REF != refs/tags/* ]] || tag=$GITHUB_REF
git init --quiet "$INPUT_PATH"
cd "$INPUT_PATH"
git remote add origin "file://$PIPELINES_ORIGIN"
[[ $INPUT_PERSIST_CREDENTIALS == true ]] || git config remote.origin.receivepack false # nobody may push
if [[ $INPUT_FETCH_DEPTH == 0 ]]; then
  git fetch --quiet --tags origin "+refs/heads/*:refs/remotes/origin/*"
  git fetch --quiet origin "$ref"
else
  git fetch --quiet --depth="$INPUT_FETCH_DEPTH" --no-tags origin "$ref" ${tag:+"+$tag:$tag"}
fi
git checkout --quiet --force FETCH_HEAD
if [[ $tag && $(git rev-parse --quiet --verify "$tag^{commit}") != "$GITHUB_SHA" ]]; then
  echo "::error::The ref '$tag' does not point to the expected commit '$GITHUB_SHA'. The ref may have been updated after the workflow was triggered."
  exit 1
fi
