#!/bin/bash
# Runs a study on one TPU slice of Google Cloud: a process on each of its hosts, which find
# each other by themselves and make one mesh. The authors have no TPU to test it.
#
#   scripts/tpu/one_slice.sh NAME ZONE v5litepod-16 gs://BUCKET --config=conv6
#
# It needs gcloud, logged in. It creates a spot slice, which may be taken away at any time.
# The study then saves, and the same command creates another slice and resumes. The slice
# is deleted when the study has ended.
set -euo pipefail
name=$1 zone=$2 type=$3 bucket=$4
shift 4
tpu=(gcloud compute tpus tpu-vm)
on_hosts() { "${tpu[@]}" ssh "$name" --zone="$zone" --worker=all --command="$1"; }

if ! "${tpu[@]}" describe "$name" --zone="$zone" >/dev/null 2>&1; then
  gcloud compute tpus queued-resources create "$name" --node-id="$name" --zone="$zone" \
    --accelerator-type="$type" --runtime-version=v2-alpha-tpuv5-lite --spot
  until state=$(gcloud compute tpus queued-resources describe "$name" --zone="$zone" \
    --format='value(state.state)') && [ "$state" = ACTIVE ]; do
    if [ "$state" = FAILED ] || [ "$state" = SUSPENDED ]; then
      echo "error: the request $name is $state" >&2
      exit 1
    fi
    sleep 30
  done
  # Installs this checkout, with pinned versions, on every host. The bucket is mounted as a
  # folder, so that the workdir outlasts the slice.
  git archive HEAD --prefix=lth_jax/ | gzip >/tmp/lth_jax.tar.gz
  "${tpu[@]}" scp /tmp/lth_jax.tar.gz "$name":/tmp/ --zone="$zone" --worker=all
  on_hosts "tar -xzf /tmp/lth_jax.tar.gz &&
    sh lth_jax/scripts/kubernetes/install.sh ~/env tpu && mkdir -p ~/runs &&
    gcsfuse --implicit-dirs ${bucket#gs://} ~/runs"
fi

# 85: the slice is being taken away, and the study saved.
code=0
on_hosts "cd lth_jax && ~/env/bin/python -m lth_jax.main \
  --workdir=\$HOME/runs/$name $(printf '%q ' "$@")" || code=$?
gcloud compute tpus queued-resources delete "$name" --zone="$zone" --force --quiet
exit "$code"
