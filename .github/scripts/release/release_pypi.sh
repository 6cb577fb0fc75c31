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

tell() { python3 "$(dirname "$0")/../lib/workflow_commands.py" "$@"; }

fail() {
  tell fail "Not published to PyPI" "$1"
  exit 1
}

publish() {
  [[ ${UV_PUBLISH_URL:+set} == "${UV_PUBLISH_CHECK_URL:+set}" ]] ||
    fail "Only one of the variables PYPI_PUBLISH_URL and PYPI_CHECK_URL is set. Another index than PyPI needs both: where it takes packages, and its simple page, which shows what it has."
  export UV_PUBLISH_URL=${UV_PUBLISH_URL:-https://upload.pypi.org/legacy/}
  export UV_PUBLISH_CHECK_URL=${UV_PUBLISH_CHECK_URL:-https://pypi.org/simple/}
  LOG=$(mktemp)
  trap 'rm -f "$LOG"' EXIT
  if ! uv publish "$@" 2>&1 | tee "$LOG"; then
    fail "The index refused, or did not answer: $(tail -n 4 "$LOG" | tr -s '[:cntrl:] ' ' '). A token is made anew on the index's account page. A version that is there with other bytes stays: release the next one."
  fi
}

main() {
  local how text trusted=${PYPI_TRUSTED_PUBLISHING:-false}
  case ${1:-} in --help) show_help && return ;; esac
  (($#)) || { show_help >&2 && return 2; }
  if [[ $trusted != @(true|false) ]]; then
    fail "The repository variable PYPI_TRUSTED_PUBLISHING is neither true nor false. Set it to one of them, or delete it."
  elif [[ ${PYPI_API_TOKEN:-} ]]; then
    how="with the token"
    UV_PUBLISH_TOKEN=$PYPI_API_TOKEN publish --trusted-publishing never --no-attestations "$@"
  elif [[ $trusted == true ]]; then
    how="as a Trusted Publisher, with attestations"
    uv run pypi-attestations sign "$@" ||
      fail "The attestations were not made: pypi-attestations says why in the log. Give the job the permission id-token: write; if Sigstore did not answer, run the job again."
    publish --trusted-publishing always "$@" "${@/%/.publish.attestation}"
  else
    text="People cannot install this release with pip: the environment has no secret PYPI_API_TOKEN, and the repository variable PYPI_TRUSTED_PUBLISHING is not true. To switch it on: gh secret set PYPI_API_TOKEN --env pypi, or register the repository as a Trusted Publisher and gh variable set PYPI_TRUSTED_PUBLISHING --body true."
    tell notice "Not published to PyPI" "$text"
    tell summary "⏭️ Not published to PyPI" "$text"
    return
  fi
  tell summary "✅ Published" "$# packages are on ${UV_PUBLISH_CHECK_URL:-https://pypi.org/simple/}, published $how."
}

main "$@"
