#!/usr/bin/env bash
# Clone the throw-away repository into TARGET at REF, DEPTH commits deep.
set -euo pipefail

git init --quiet "$TARGET"
cd "$TARGET"
git remote add origin "file://$PIPELINES_ORIGIN"
if [[ $DEPTH == 0 ]]; then
  git fetch --quiet --tags origin "+refs/heads/*:refs/remotes/origin/*"
  git fetch --quiet origin "$REF"
else
  git fetch --quiet --depth="$DEPTH" --no-tags origin "$REF"
fi
git checkout --quiet --force FETCH_HEAD
