#!/bin/sh
# Start a part. A secret that is named but cannot be read would switch a check off: refuse to start instead.
set -eu
for file in "${TICKLOOM_SERVICE_TOKEN_FILE:-}" "${RAY_AUTH_TOKEN_PATH:-}"; do
    if [ -n "$file" ] && ! { [ -r "$file" ] && [ -s "$file" ]; }; then
        echo "tickloom: the secret $file is missing, empty or not readable by user $(id -u);" \
             "make it with: sh deploy/secrets.sh" >&2
        exit 78
    fi
done
exec "$@"
