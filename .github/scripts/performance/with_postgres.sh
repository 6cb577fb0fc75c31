#!/usr/bin/env bash
# Run a command beside a PostgreSQL server that lives as long as the command does.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: with_postgres.sh [--optional] COMMAND [ARGUMENT…]

Start a throw-away PostgreSQL server on a free port of this machine, run COMMAND with
TEST_DATABASE_URL=postgresql://… in its environment, then remove the server.
If TEST_DATABASE_URL is already set, just run COMMAND.

  --optional   if PostgreSQL is not installed, warn and run COMMAND without it
  --help       show this text

Exit code: that of COMMAND; 1 if no server could be started; 2 for a wrong call.
TEXT
}

readonly FIX="install the package 'postgresql' (sudo apt-get install postgresql, brew install postgresql)"
DIRECTORY=""
COMMAND_PID=""

say() {
  echo "with_postgres.sh: $*" >&2
}

list_places() {
  command -v initdb | xargs -r dirname
  if command -v pg_config >/dev/null; then
    pg_config --bindir
  fi
  # Newest version first. A pattern that matches nothing stays as it is, and does no harm.
  printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
    /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin | sort -rV
}

find_programs() {
  local place
  while IFS= read -r place; do
    if [[ -x $place/initdb && -x $place/pg_ctl && -x $place/postgres ]]; then
      echo "$place"
      return
    fi
  done < <(list_places 2>/dev/null || true)
  return 1
}

# PostgreSQL refuses to run as root.
owner() {
  if id postgres >/dev/null 2>&1; then
    echo postgres
  else
    echo nobody
  fi
}

as_owner() {
  if ((EUID == 0)); then
    (cd / && setpriv --reuid="$(owner)" --regid="$(id -g "$(owner)")" --clear-groups -- "$@")
  else
    "$@"
  fi
}

make_directory() {
  if ((EUID == 0)); then
    DIRECTORY=$(mktemp -d /tmp/postgres.XXXXXX) # TMPDIR may be closed to the owner
    chown "$(owner)" "$DIRECTORY"
  else
    DIRECTORY=$(mktemp -d "${TMPDIR:-/tmp}/postgres.XXXXXX")
  fi
}

make_cluster() {
  as_owner "$PROGRAMS/initdb" --pgdata="$DIRECTORY/data" --username=postgres --auth=trust \
    --encoding=UTF8 --locale=C --no-sync >"$DIRECTORY/initdb.log" 2>&1
}

# Nobody can reserve a port: try until one is free. The range is below that of client ports.
start_server() {
  local port
  local options="-c listen_addresses=127.0.0.1 -c unix_socket_directories="
  options+=" -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
  for _ in {1..20}; do
    port=$((15000 + RANDOM % 17000))
    if as_owner "$PROGRAMS/pg_ctl" start --pgdata="$DIRECTORY/data" --log="$DIRECTORY/server.log" \
      --wait --timeout=60 --silent --options="$options -c port=$port" >"$DIRECTORY/start.log" 2>&1; then
      export TEST_DATABASE_URL="postgresql://postgres@127.0.0.1:$port/postgres"
      return
    fi
    if ! grep -q 'could not bind' "$DIRECTORY/server.log"; then
      break
    fi
  done
  return 1
}

remove_server() {
  if [[ -z $DIRECTORY ]]; then
    return
  fi
  if [[ -f $DIRECTORY/data/postmaster.pid ]]; then
    as_owner "$PROGRAMS/pg_ctl" stop --pgdata="$DIRECTORY/data" --mode=immediate --silent || true
  fi
  rm -rf "$DIRECTORY"
}

pass_on() {
  if [[ -n $COMMAND_PID ]]; then
    kill -s "$1" "$COMMAND_PID" 2>/dev/null || true
  else
    exit "$2"
  fi
}

# In the background, because bash acts on a signal only when no command is in front of it.
run_command() {
  local code
  (
    trap - INT TERM EXIT
    exec "$@"
  ) <&0 &
  COMMAND_PID=$!
  while true; do
    code=0
    wait "$COMMAND_PID" || code=$?
    if ! kill -0 "$COMMAND_PID" 2>/dev/null; then
      return "$code"
    fi
  done
}

main() {
  local optional=false
  while (($#)); do
    case $1 in
      --help | -h)
        usage
        exit
        ;;
      --optional)
        optional=true
        shift
        ;;
      --)
        shift
        break
        ;;
      -*)
        say "unknown option $1"
        usage >&2
        exit 2
        ;;
      *) break ;;
    esac
  done
  if ((!$#)); then
    usage >&2
    exit 2
  fi

  if [[ -n ${TEST_DATABASE_URL:-} ]]; then
    exec "$@"
  fi
  if ! PROGRAMS=$(find_programs); then
    if [[ $optional == true ]]; then
      say "warning: PostgreSQL is not installed, so the command runs without it; to change that, $FIX"
      exec "$@"
    fi
    say "error: PostgreSQL is not installed; $FIX"
    exit 1
  fi

  trap remove_server EXIT
  trap 'pass_on INT 130' INT
  trap 'pass_on TERM 143' TERM
  make_directory
  if ! make_cluster || ! start_server; then
    say "error: PostgreSQL ($PROGRAMS) did not start:"
    tail -n 20 "$DIRECTORY"/*.log >&2
    exit 1
  fi
  run_command "$@"
}

main "$@"
