#!/bin/sh
# The role that may only read, for dashboards: made, or given its password anew. It writes nothing, whatever is asked of it.
set -eu
PGPASSWORD=$(cat /run/nodewise/password)
export PGPASSWORD
psql -q -v ON_ERROR_STOP=1 -h postgres -U nodewise -d nodewise -v password="$(cat /run/reader/password)" <<'SQL'
SELECT 'CREATE ROLE nodewise_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nodewise_reader') \gexec
ALTER ROLE nodewise_reader LOGIN PASSWORD :'password' CONNECTION LIMIT 10;
ALTER ROLE nodewise_reader SET default_transaction_read_only = on;
ALTER ROLE nodewise_reader SET statement_timeout = '30s';
GRANT pg_read_all_data TO nodewise_reader;
SQL
