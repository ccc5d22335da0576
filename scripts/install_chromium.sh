#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sees to it that this machine has a Chromium for the browser tests, and prints its path. CHROMIUM=... names one.
set -euo pipefail

find_one() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name"; then return; fi
    done
    return 1
}

if [ -n "${CHROMIUM:-}" ]; then
    command -v "$CHROMIUM" && exit
    echo "CHROMIUM is '$CHROMIUM', which cannot be run." >&2
    exit 1
fi
if find_one; then exit; fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "The browser tests need Chromium, which only root can install here, and with apt-get. Install it" >&2
    echo "yourself (Debian: apt-get install chromium fonts-liberation), or set CHROMIUM=/path/to/chromium." >&2
    exit 1
fi
echo "Installing Chromium with apt-get" >&2
{
    apt-get update -qq || true # the lists that are there may do
    DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends chromium fonts-liberation
} >&2
find_one
