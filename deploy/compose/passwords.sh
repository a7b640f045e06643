#!/bin/sh
# The passwords, and the admin's API key: those that are given as secrets, else those of the last start, else new ones.
set -eu
umask 022
kept=/var/lib/nodewise/secrets

keep() {
    given=$(cat "/run/secrets/$1_password" 2>/dev/null || true)
    if [ -n "$given" ]; then
        printf '%s' "$given" > "$kept/$1/password"
    elif [ ! -s "$kept/$1/password" ]; then
        python3 -c 'import secrets; print(secrets.token_urlsafe(24), end="")' > "$kept/$1/password"
    fi
}

keep_key() {
    given=$(cat /run/secrets/admin_key 2>/dev/null || true)
    if [ -n "$given" ]; then
        printf '%s' "$given" > "$kept/admin/key"
    elif [ ! -s "$kept/admin/key" ]; then
        python3 -c 'import secrets; print(f"nw_{secrets.token_hex(16)}_{secrets.token_urlsafe(32)}", end="")' > "$kept/admin/key"
    fi
}

keep_key
keep postgres
keep redis
keep reader
printf 'requirepass "%s"\n' "$(cat $kept/redis/password)" > $kept/redis/redis.conf
