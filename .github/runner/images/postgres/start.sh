#!/bin/sh
# Serve the database POSTGRES_USER to the user of that name; make it if it is not there.
set -eu

data=/var/lib/postgresql/data
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

if [ ! -e "$data" ]; then
  chown postgres: /var/lib/postgresql
  echo "$POSTGRES_PASSWORD" >/tmp/password
  as_postgres initdb --pgdata="$data.new" --username="$POSTGRES_USER" --pwfile=/tmp/password \
    --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
  echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
  echo "CREATE DATABASE \"$POSTGRES_USER\"" | as_postgres postgres --single -D "$data.new" postgres
  mv "$data.new" "$data"
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D "$data" -c 'listen_addresses=*'
