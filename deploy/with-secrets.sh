#!/bin/sh
# Starts a program with its secrets as environment variables: SECRET_NAME names the file that holds the value of NAME.
set -eu
for line in $(env | grep '^SECRET_[A-Z_]*=' || true); do
  name=${line%%=*}
  file=${line#*=}
  [ -r "$file" ] || { echo "$name must name a file that can be read, got $file" >&2; exit 2; }
  export "${name#SECRET_}=$(cat "$file")"
done
exec "$@"
