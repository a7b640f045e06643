#!/bin/sh
# The passwords, the admin's API key and the secret of the nodes' keys: those that are given as secrets (in GIVEN), else those of
# the last start (in KEPT), else new ones. Then the key of each node, which follows from that secret and the node's name.
set -eu
umask 022
kept=${KEPT:-/var/lib/nodewise/secrets}

# Keep in the file $3 what was given as secret $1, the $2; else what is there; else what the Python expression $4 makes.
keep() {
    secret=${GIVEN:-/run/secrets}/$1
    if [ -e "$secret" ] && [ ! -r "$secret" ]; then
        echo "the file of the $2 cannot be read by user $(id -u): let that user own it, or let all read it" >&2
        exit 1
    fi
    given=$(cat "$secret" 2>/dev/null || true)
    if [ -n "$given" ]; then
        printf '%s' "$given" > "$3"
    elif [ ! -s "$3" ]; then
        python3 -c "import secrets; print($4, end='')" > "$3"
    fi
}

keep admin_key "key of the admin" "$kept/admin/key" 'f"nw_{secrets.token_hex(16)}_{secrets.token_urlsafe(32)}"'
keep node_secret "secret of the nodes' keys" "$kept/nodes/secret" 'secrets.token_urlsafe(32)'
# Who reads these two runs as this user. The passwords below are for the users of Postgres and Redis, too.
chmod 600 "$kept/admin/key" "$kept/nodes/secret"
for name in big small gpu; do
    "${PYTHON:-python3}" -P -m nodewise.core.nodekeys "$name" --secret-file "$kept/nodes/secret" --out "$kept/node-$name/key"
done
for name in postgres redis reader; do
    keep "${name}_password" "password of $name" "$kept/$name/password" 'secrets.token_urlsafe(24)'
done
# Code of users runs beside this password: who has it may use the queues, and neither change the server nor have it reach others.
printf 'user default on #%s ~* &* +@all -@admin -@dangerous +info\n' \
    "$(printf %s "$(cat "$kept/redis/password")" | sha256sum | cut -d ' ' -f 1)" > "$kept/redis/redis.conf"
