#!/bin/sh
# The passwords: those that are given as secrets (in GIVEN), else those of the last start (in KEPT), else new ones.
set -eu
umask 022
kept=${KEPT:-/var/lib/nodewise/secrets}

keep() {
    secret=${GIVEN:-/run/secrets}/$1_password
    if [ -e "$secret" ] && [ ! -r "$secret" ]; then
        echo "the file of the password of $1 cannot be read by user $(id -u): let that user own it, or let all read it" >&2
        exit 1
    fi
    given=$(cat "$secret" 2>/dev/null || true)
    if [ -n "$given" ]; then
        printf '%s' "$given" > "$kept/$1/password"
    elif [ ! -s "$kept/$1/password" ]; then
        python3 -c 'import secrets; print(secrets.token_urlsafe(24), end="")' > "$kept/$1/password"
    fi
}

keep postgres
keep redis
keep reader
# In quotes, redis.conf takes a backslash before what would end them.
printf 'requirepass "%s"\n' "$(sed 's/[\\"]/\\&/g' "$kept/redis/password")" > "$kept/redis/redis.conf"
