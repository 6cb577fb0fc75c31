#!/usr/bin/env bash
# Publish packages to PyPI, if the repository says how.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: release_pypi.sh FILE...

Publishes the packages with PYPI_API_TOKEN if it is set, else as a Trusted
Publisher with attestations if PYPI_TRUSTED_PUBLISHING is "true", else not at
all; another value than "true" and "false" is an error. A package that is
published already is left alone if its bytes are the same, and an error if they
are not. UV_PUBLISH_URL and UV_PUBLISH_CHECK_URL name another index than PyPI.
HELP
}

# tell MARK TITLE TEXT
tell() {
  printf '### %s %s\n\n%s\n\n' "$1" "$2" "$3" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
  printf '%s: %s\n' "$2" "$3"
}

# fail REASON FIX
fail() {
  tell ❌ "Not published to PyPI" "\`$1\`

$2"
  echo "::error title=Not published to PyPI::$1 $2"
  exit 1
}

publish() {
  export UV_PUBLISH_URL=${UV_PUBLISH_URL:-https://upload.pypi.org/legacy/}
  export UV_PUBLISH_CHECK_URL=${UV_PUBLISH_CHECK_URL:-https://pypi.org/simple/}
  LOG=$(mktemp)
  trap 'rm -f "$LOG"' EXIT
  if ! uv publish "$@" 2>&1 | tee "$LOG"; then
    fail "The index refused, or did not answer: $(tail -n 4 "$LOG" | tr -s '[:cntrl:] ' ' ' | tr '`' "'")" \
      "A token is made anew on the index's account page. A version that is there with other bytes stays: release the next one."
  fi
}

main() {
  local how trusted=${PYPI_TRUSTED_PUBLISHING:-false}
  case ${1:-} in --help) show_help && return ;; esac
  (($#)) || { show_help >&2 && return 2; }
  if [[ $trusted != @(true|false) ]]; then
    fail "The repository variable PYPI_TRUSTED_PUBLISHING is neither true nor false." \
      "Set it to one of them, or delete it."
  elif [[ ${PYPI_API_TOKEN:-} ]]; then
    how="with the token"
    UV_PUBLISH_TOKEN=$PYPI_API_TOKEN publish --trusted-publishing never --no-attestations "$@"
  elif [[ $trusted == true ]]; then
    how="as a Trusted Publisher, with attestations"
    uv run pypi-attestations sign "$@" ||
      fail "The attestations were not made: pypi-attestations says why in the log." \
        "Give the job the permission id-token: write; if Sigstore did not answer, run the job again."
    publish --trusted-publishing always "$@" "${@/%/.publish.attestation}"
  else
    tell ⏭️ "Not published to PyPI" "The environment has no secret PYPI_API_TOKEN, and the repository variable PYPI_TRUSTED_PUBLISHING is not \"true\". People cannot \`pip install\` this release. To switch it on: \`gh secret set PYPI_API_TOKEN --env pypi\`, or register the repository as a Trusted Publisher and \`gh variable set PYPI_TRUSTED_PUBLISHING --body true\`."
    echo "::notice title=Not published to PyPI::Set the secret PYPI_API_TOKEN in the environment pypi, or the variable PYPI_TRUSTED_PUBLISHING to true."
    return
  fi
  tell ✅ "Published" "$# packages are on ${UV_PUBLISH_CHECK_URL:-https://pypi.org/simple/}, published $how."
}

main "$@"
