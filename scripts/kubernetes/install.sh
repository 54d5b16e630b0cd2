#!/bin/sh
# Creates an environment with this checkout and the versions of constraints.txt. The
# Dockerfile uses it, and it also works on its own:
#
#   sh scripts/kubernetes/install.sh FOLDER [cuda12|tpu]
#
# To update constraints.txt: install without it, run the tests, and save `pip freeze`.
set -eu
here=$(dirname "$0")
folder=$1
jax=${2:-}
python3 -m venv "$folder"
"$folder/bin/pip" install --no-cache-dir --quiet -c "$here/constraints.txt" \
  "$here/../..[cluster]" ${jax:+"jax[$jax]"}
"$folder/bin/pip" check
"$folder/bin/lth-jax" --version
