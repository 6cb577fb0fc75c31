#!/usr/bin/env bash
# What the deploy key may do on a server, and nothing else. setup_server.sh puts it into authorized_keys.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: gate.sh FOLDER REPOSITORY

The forced command of an SSH key: looks at SSH_ORIGINAL_COMMAND, which is only text to it, and runs
one of these with host.sh, whose state is in FOLDER:

  stage REPOSITORY@sha256:DIGEST VERSION REVISION
  switch PREVIEW
  rollback [REPOSITORY@sha256:DIGEST VERSION, or what serves, of whatever repository]
  confirm | keep | current | logs

Everything else is refused and noted in the system's log. Ends with 77 then, else as host.sh does.
HELP
}

# Prints what may be asked for, as one pattern for the whole text.
describe_commands() {
  local image version='[0-9A-Za-z][0-9A-Za-z.+_-]{0,127}'
  image="${REPOSITORY//./[.]}@sha256:[0-9a-f]{64}"
  echo "^(stage $image $version [0-9a-f]{40,64}|switch [0-9a-f]{32}|rollback( $image $version)?|confirm|keep|current|logs)\$"
}

refuse() {
  local text
  text=$(LC_ALL=C tr -c ' -~' '?' <<<"${1:0:200}")
  logger --tag deploy-gate --priority auth.warning "refused from ${SSH_CLIENT:-nowhere}: ${text%?}" 2>/dev/null || true
  echo '::error title=The server refuses the command::The deploy key may deploy the image' \
    "$REPOSITORY by its digest, and nothing else. Is that the image of this repository? Were deploy/compose and" \
    'this server set up from the same version? Else run setup_server.sh again.' >&2
  return 77
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  (($# == 2)) || { show_help >&2 && return 2; }
  export HOST_FOLDER=$1
  REPOSITORY=$2
  local command=${SSH_ORIGINAL_COMMAND:-} words
  [[ $command =~ $(describe_commands) || $command == "rollback $("${0%/*}/host.sh" current)" ]] || refuse "$command"
  read -ra words <<<"$command"
  exec "$(dirname "$0")/host.sh" "${words[@]}"
}

main "$@"
