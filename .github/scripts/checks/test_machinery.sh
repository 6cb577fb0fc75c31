#!/usr/bin/env bash
# Run the tests of what the pipelines are made of.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: test_machinery.sh [OPTION]...

Runs the tests in .github/tests; OPTIONs are pytest's. A copy that deleted them
has none to run. A local run of a pipeline leaves them out: they run pipelines.
HELP
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  if [[ ! -d .github/tests ]]; then
    echo '::notice title=No tests of the machinery::There is no .github/tests here.'
  elif [[ ${ACT:-} == true ]]; then
    echo '::notice title=Left out here::The tests of the machinery run pipelines themselves: uv run poe test-machinery'
  else
    exec uv run pytest .github/tests "$@"
  fi
}

main "$@"
