#!/usr/bin/env bash
# Build, test and measure kit on a machine with a GPU, within a time limit; see docs/gpu.md.
#   scripts/gpu.sh [RUN=first|second] [PARTS=build,tests,...] [RESULTS=FOLDER] [FIELDS=FOLDER] [COMMIT=HASH] [REHEARSE=1]
# The same as make gpu, for a machine without make. PYTHON=... chooses the Python; else the checkout's .venv, else python3.
set -euo pipefail
export KIT_GPU_START="${EPOCHREALTIME/,/.}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for setting in "$@"; do
  case "$setting" in
    RUN=* | PARTS=* | RESULTS=* | FIELDS=* | COMMIT=* | REHEARSE=* | PYTHON=*) export "${setting?}" ;;
    *) echo "scripts/gpu.sh: $setting: need RUN=, PARTS=, RESULTS=, FIELDS=, COMMIT=, REHEARSE= or PYTHON=" >&2; exit 2 ;;
  esac
done
if [ -z "${PYTHON:-}" ]; then
  if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
exec "$PYTHON" -m kit.gpu
