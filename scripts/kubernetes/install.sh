#!/bin/sh
# Makes an environment of this checkout with the versions of constraints.txt; the steps of
# the Dockerfile, which work without it too:
#
#   sh scripts/kubernetes/install.sh FOLDER [cuda12|tpu]
#
# A newer constraints.txt: install without it, run the tests, and `pip freeze` what is there.
set -eu
here=$(dirname "$0")
folder=$1
jax=${2:-}
python3 -m venv "$folder"
"$folder/bin/pip" install --no-cache-dir --quiet -c "$here/constraints.txt" \
  "$here/../..[cluster]" ${jax:+"jax[$jax]"}
"$folder/bin/pip" check
"$folder/bin/lth-jax" --version
