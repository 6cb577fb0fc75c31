#!/usr/bin/env bash
# Run the app's smoke tests against something that serves.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: smoke_tests.sh --base-url=URL [OPTION]...

Runs tests/smoke with these options, which tests/conftest.py defines. An app without smoke tests is asked for /health alone, and that is said.
HELP
}

# Asks for /health where the options say.
ask_health() {
  local url='' headers=()
  while (($#)); do
    case $1 in
      --base-url=*) url=${1#*=} ;;
      --header=*) headers+=(--header "${1#*=}") ;;
    esac
    shift
  done
  curl --silent --show-error --fail --max-time 10 --output /dev/null "${headers[@]}" "${url%/}/health" 2>&1 && return
  echo "::error title=The app is not reached::$url/health did not answer from here: does \`serve\` of [tool.pipelines] in pyproject.toml listen on {host}?"
  return 1
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  (($#)) || { show_help >&2 && return 2; }
  cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
  export no_proxy="127.0.0.1,${no_proxy:-${NO_PROXY:-}}"
  if [[ ! -d tests/smoke ]]; then
    ask_health "$@"
    echo '::notice title=No smoke tests::The app has no tests in tests/smoke: only /health was asked.'
    return
  fi
  exec uv run pytest tests/smoke --no-cov --numprocesses=0 -q "$@"
}

main "$@"
