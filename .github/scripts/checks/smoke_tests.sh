#!/usr/bin/env bash
# Run the app's smoke tests against something that serves.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: smoke_tests.sh --base-url=URL [OPTION]...

Runs tests/smoke with these options, which tests/conftest.py defines. An app without smoke tests is asked for /health alone, and that is said.
HELP
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  (($#)) || { show_help >&2 && return 2; }
  cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
  if [[ ! -d tests/smoke ]]; then
    echo '::notice title=No smoke tests::The app has no tests in tests/smoke: only /health was asked.'
    return
  fi
  export no_proxy="127.0.0.1,${no_proxy:-${NO_PROXY:-}}"
  exec uv run pytest tests/smoke --no-cov --numprocesses=0 -q "$@"
}

main "$@"
