#!/usr/bin/env bash
# Make the image TAG: Debian with its own Python, in the place of the official Python image.
# Containers of it trust whom this machine trusts.
set -euo pipefail

tag=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/trusted"
find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$work/trusted" {} +
mmdebstrap --quiet --variant=minbase --include=ca-certificates,netbase,tzdata,python3.13,python3.13-venv \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --customize-hook="mkdir -p \"\$1/usr/local/share/ca-certificates\"" \
  --customize-hook="sync-in $work/trusted /usr/local/share/ca-certificates" \
  --customize-hook="chroot \"\$1\" update-ca-certificates >/dev/null" \
  --customize-hook="for name in python python3; do ln -s /usr/bin/python3.13 \"\$1/usr/local/bin/\$name\"; done" \
  --customize-hook="rm -rf \"\$1\"/var/lib/apt/lists/* \"\$1\"/var/cache/apt/* \"\$1\"/var/log/*" \
  trixie "$work/root.tar"
docker import --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' "$work/root.tar" "$tag"
