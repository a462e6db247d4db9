#!/bin/sh
# Make the secrets that docker-compose.yml asks for: .env and deploy/secrets/. What exists is kept.
#   sh deploy/secrets.sh
set -eu
cd "$(dirname "$0")/.."
umask 077
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

mkdir -p deploy/secrets imports
for name in service_token ray_token; do
    if [ ! -e "deploy/secrets/$name" ]; then
        random > "deploy/secrets/$name"
        # The folder keeps other users of this host out; the containers' user must be able to read the file.
        chmod 444 "deploy/secrets/$name"
        echo "made deploy/secrets/$name"
    fi
done
chmod 700 deploy/secrets
chmod 755 imports

if [ -e .env ]; then
    echo "kept .env"
else
    while IFS= read -r line; do
        case $line in
            '#'*) echo "$line" ;;
            *CHANGE-ME) echo "${line%CHANGE-ME}$(random)" ;;
            *) echo "$line" ;;
        esac
    done < .env.example > .env
    echo "made .env: it holds the API token and the passwords"
fi
