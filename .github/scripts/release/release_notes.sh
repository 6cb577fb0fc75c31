#!/usr/bin/env bash
# Write what changed up to the commit that is checked out, as the release notes show it.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: release_notes.sh [--since TAG] [--tag TAG]

Prints the changes since TAG as Markdown; an empty --since takes the whole
history. Without options: what is not released yet, from the newest stable tag
on. --tag adds a link to the comparison with that tag.
HELP
}

fail() {
  printf '::error title=Release notes::%s\n' "$1" >&2
  exit 1
}

find_newest_stable() {
  git tag --merged HEAD --list 'v*' --sort=-v:refname |
    grep -E -m1 '^v(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}$' || true
}

# A partial changelog looks like a whole one, so whatever would make one is an error.
check_input() {
  [[ $(git rev-parse --is-shallow-repository) == false ]] ||
    fail "The clone is shallow, so the changes would be incomplete. Fetch all: git fetch --unshallow --tags"
  grep -q '^\[tool\.git-cliff\.changelog\]' pyproject.toml ||
    fail "pyproject.toml has no [tool.git-cliff.changelog]: the groups and the format are unknown."
  [[ -z $since ]] || git merge-base --is-ancestor "$since" HEAD ||
    fail "$since is not an ancestor of the commit to release."
}

main() {
  local since='' tag='' body='' set_since=false
  while (($#)); do
    case $1 in
      --help) show_help && return ;;
      --since) since=$2 set_since=true && shift 2 ;;
      --tag) tag=$2 && shift 2 ;;
      *) show_help >&2 && return 2 ;;
    esac
  done
  cd "$(git rev-parse --show-toplevel)"
  [[ $set_since == true ]] || since=$(find_newest_stable)
  check_input
  if (($(git rev-list --count --no-merges "${since:+$since..}HEAD"))); then
    body=$(RUST_LOG=error git-cliff --config pyproject.toml --ignore-tags '.*' --no-exec ${since:+"$since..HEAD"})
  fi
  printf '%s\n' "${body:-No changes${since:+ since $since}.}"
  if [[ $tag && $since && ${GITHUB_REPOSITORY:-} ]]; then
    printf '\n**Full changes:** %s/%s/compare/%s...%s\n' \
      "${GITHUB_SERVER_URL:-https://github.com}" "$GITHUB_REPOSITORY" "$since" "$tag"
  fi
}

main "$@"
