#!/bin/sh
# The passwords, the admin's API key and the secret of the nodes' keys: those that are given as secrets (in GIVEN), else those of
# the last start (in KEPT), else new ones. Then the key of each node, which follows from that secret and the node's name.
set -eu
umask 022
kept=${KEPT:-/var/lib/nodewise/secrets}

# What was given as secret $1, the $2; nothing if none was.
read_given() {
    secret=${GIVEN:-/run/secrets}/$1
    if [ -e "$secret" ] && [ ! -r "$secret" ]; then
        echo "the file of the $2 cannot be read by user $(id -u): let that user own it, or let all read it" >&2
        exit 1
    fi
    given=$(cat "$secret" 2>/dev/null || true)
}

keep() {
    read_given "$1_password" "password of $1"
    if [ -n "$given" ]; then
        printf '%s' "$given" > "$kept/$1/password"
    elif [ ! -s "$kept/$1/password" ]; then
        python3 -c 'import secrets; print(secrets.token_urlsafe(24), end="")' > "$kept/$1/password"
    fi
}

keep_key() {
    read_given admin_key "key of the admin"
    if [ -n "$given" ]; then
        printf '%s' "$given" > "$kept/admin/key"
    elif [ ! -s "$kept/admin/key" ]; then
        python3 -c 'import secrets; print(f"nw_{secrets.token_hex(16)}_{secrets.token_urlsafe(32)}", end="")' > "$kept/admin/key"
    fi
}

keep_nodes() {
    read_given node_secret "secret of the nodes' keys"
    if [ -n "$given" ]; then
        printf '%s' "$given" > "$kept/nodes/secret"
    elif [ ! -s "$kept/nodes/secret" ]; then
        python3 -c 'import secrets; print(secrets.token_urlsafe(32), end="")' > "$kept/nodes/secret"
    fi
    for name in big small gpu; do
        "${PYTHON:-python3}" -P -m nodewise.core.nodekeys "$name" --secret-file "$kept/nodes/secret" --out "$kept/node-$name/key"
    done
}

keep_key
keep_nodes
keep postgres
keep redis
keep reader
# In quotes, redis.conf takes a backslash before what would end them.
printf 'requirepass "%s"\n' "$(sed 's/[\\"]/\\&/g' "$kept/redis/password")" > "$kept/redis/redis.conf"
