#!/usr/bin/env bash
# Build what a release consists of, and prove that anyone can build the same bytes.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: release_build.sh VERSION DIRECTORY

Builds the wheel and the source distribution of the commit that is checked out
into DIRECTORY, with a bill of materials (CycloneDX) of the locked production
dependencies and the checksums of all of them. Fails if a second build from a
clean copy, or a wheel built from the source distribution, has other bytes.
HELP
}

fail() {
  printf '::error title=Build::%s\n' "$1"
  exit 1
}

# The backend comes from uv.lock, not newest from the index: a re-run makes the same bytes.
build() {
  python -m build --no-isolation "$@" >&2
}

check_same() {
  cmp "$1" "$2" || fail "$3: $(basename "$1") has other bytes. Something in the build depends on time, place or order, as with setuptools, which writes the time into source distributions."
}

# As a clone has it: `git archive` would leave out what .gitattributes tells it to.
copy_commit() {
  local -x GIT_INDEX_FILE=$again/index
  git read-tree HEAD
  git checkout-index --all --prefix="$1/"
}

write_materials() {
  uv export --quiet --locked --no-default-groups --format cyclonedx1.5 --preview-features sbom-export |
    "${BASH_SOURCE%/*}/release_materials.py" "$version" "$(git rev-parse HEAD)"
}

main() {
  local version output sdist wheel
  case ${1:-} in --help) show_help && return ;; esac
  (($# == 2)) || { show_help >&2 && return 2; }
  version=$1 output=$2
  mkdir -p "$output" && output=$(realpath "$output")
  again=$(mktemp -d)
  trap 'rm -rf "$again"' EXIT
  SOURCE_DATE_EPOCH=$(git log -1 --no-show-signature --format=%ct) ||
    fail "There is no commit to build: git init && git add -A && git commit -m 'feat: start'"
  export SOURCE_DATE_EPOCH

  export SETUPTOOLS_SCM_PRETEND_VERSION=$version # a commit may carry two tags, or none yet
  build --sdist --wheel --outdir "$again/new" . # the output may hold other versions
  sdist=$(basename "$again"/new/*.tar.gz) wheel=$(basename "$again"/new/*.whl)
  [[ $sdist == *-"$version".tar.gz && $wheel == *-"$version"-* ]] ||
    fail "The tag says $version, the packages say $wheel and $sdist."

  copy_commit "$again/tree"
  build --sdist --outdir "$again" "$again/tree"
  check_same "$again/new/$sdist" "$again/$sdist" "Building again from a clean copy"

  unset SETUPTOOLS_SCM_PRETEND_VERSION
  tar -x -C "$again" -f "$again/new/$sdist"
  build --wheel --outdir "$again" "$again/${sdist%.tar.gz}"
  check_same "$again/new/$wheel" "$again/$wheel" "Building from the source distribution"

  write_materials >"$again/new/${sdist%.tar.gz}.cdx.json"
  (cd "$again/new" && sha256sum -- *.whl *.tar.gz *.cdx.json | tee SHA256SUMS && cp -- * "$output")
}

main "$@"
