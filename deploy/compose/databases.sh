#!/bin/sh
# Run once by the image of PostgreSQL, on an empty volume: makes the databases and
# roles with the passwords of setup.sh.
set -eu
set --
while IFS='=' read -r name value; do set -- "$@" -v "$name=$value"; done < /run/secrets/database-passwords
psql -v ON_ERROR_STOP=1 -U postgres -d postgres "$@" -f /etc/lms/databases.sql
