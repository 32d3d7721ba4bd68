#!/bin/sh
# Makes the secrets of a lab below deploy/secrets, or in the folder that is given; those that exist stay as they are.
#   sh deploy/make-secrets.sh [FOLDER] [HOST]
# The certificate is self-signed for HOST and page.HOST: replace the two files by those of your institution.
set -eu
folder=${1:-$(dirname "$0")/secrets}
host=${2:-${LAB_HOST:-localhost}}
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"
for name in database-password object-key object-secret admin-password server-password session-key door-password; do
  [ -s "$name" ] || openssl rand -hex 20 > "$name"
done
[ -s door-accounts ] || echo "lab:$(openssl passwd -apr1 -stdin < door-password)" > door-accounts
[ -s certificate ] || openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$host" \
  -addext "subjectAltName=DNS:$host,DNS:page.$host" -keyout certificate-key -out certificate 2>/dev/null
# Containers run as other users than yours; the folder itself keeps others on this machine out.
chmod 644 ./*
echo "The secrets of $host are in $folder. People open the page and the models as lab with $folder/door-password."
