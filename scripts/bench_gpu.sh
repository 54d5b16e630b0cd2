#!/usr/bin/env bash
# Measures in 9 minutes what README.md and configs/ need from a GPU, most important first.
#
#   scripts/bench_gpu.sh        in the project's root, with jax for the GPU installed
#
# It needs no network: .gpu/wheels/ has the other packages, .gpu/mnist/ the raw files, and
# .gpu/unpack_cifar10.py makes those of CIFAR-10 from .gpu/cifar10_jpeg.tar.xz.
# It writes log.txt and the records of the studies to OUT (/tmp/out).
# For tests, LTH_GPU_TINY=1 runs a small version of each kind of part on any machine,
# without .gpu/.
#
# Every part has its own time limit, so that a part that hangs does not stop the others.
# The exit code is 0 if all parts that were started succeeded.
set -u
out=${OUT:-/tmp/out}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
exec > >(tee "$out/log.txt") 2>&1
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD:$PWD/scripts" TFDS_DATA_DIR="$work/tfds"
export XLA_PYTHON_CLIENT_PREALLOCATE=false
failed=""

part() { # part NAME SECONDS COMMAND...; exit code 124 means that it hit the limit
  local name=$1 limit=$2 begin=$SECONDS code
  shift 2
  if ((SECONDS + limit > 540)); then
    echo "=== $name: not started at $SECONDS s, because it may take $limit s"
    return 1
  fi
  echo "=== $name: $*"
  timeout --kill-after=8 "$limit" "$@" >"$work/$name.txt" 2>&1
  code=$?
  # A progress bar rewrites its line: only the last state counts.
  tr '\r' '\n' <"$work/$name.txt" | grep -v '^ *$' | awk '
    /steps\/s/ { bar = $0; next } { print } END { if (bar) print bar }' | tail -n 25
  echo "=== $name: exit code $code, $((SECONDS - begin)) s, at $SECONDS s of 540"
  ((code == 0)) || failed+=" $name"
  return $code
}

more() { # more ARGUMENTS...: a part that tiny runs leave out
  [ -n "${LTH_GPU_TINY:-}" ] || part "$@"
}

for_seconds() { # for_seconds N COMMAND...: interrupts it after N s, which is not a failure
  timeout -s INT "$@"
  local code=$?
  ((code == 124)) || return $code
}

kill_midway() { # kill_midway WORKDIR COMMAND...: SIGKILL once dense nets are recorded
  local records=$1/records
  shift
  "$@" &
  until compgen -G "$records/*" >/dev/null; do
    kill -0 $! 2>/dev/null || return 1
    sleep 0.1
  done
  kill -KILL $!
  wait $! 2>/dev/null
  true
}
export -f for_seconds kill_midway
study() { echo python3 -m lth_jax.main "--workdir=$work/$1" "${@:2}"; }
models() { echo python3 scripts/bench_models.py "$@"; }

if [ -n "${LTH_GPU_TINY:-}" ]; then
  how=map together=map steps=2 repeats=1 seconds=10 many=2 few=2 conv=lenet conv_study=
  lenet="--config=configs/mnist1d.py --config.checkpoint_every_steps=200" twin="--config=configs/mnist1d.py:smoke"
  twin+=" --config.num_levels=2 --config.arms=ticket,reinit"
else
  how=vmap,map together=vmap steps=50 repeats=3 seconds=60 many=1,5,15,100 few=1,5
  conv=conv6
  lenet="--config=configs/lenet.py --config.data.raw_dir=.gpu/mnist"
  twin="--config=configs/lenet.py:smoke --config.data.raw_dir=.gpu/mnist"
  conv_study="--config=configs/conv6.py:smoke --config.data.raw_dir=$work/cifar"
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
  part wheels 60 python3 -m pip install -q --no-index --no-deps .gpu/wheels/*.whl
  part cifar 60 python3 .gpu/unpack_cifar10.py "$work/cifar" .gpu/cifar10_jpeg.tar.xz
fi
part jax 60 python3 -c "import jax; print(jax.__version__, jax.devices())"

# How long does the paper's LeNet study take? The bar's last state has the rate.
part lenet_study $((seconds + 15)) bash -c 'for_seconds "$@"' - "$seconds" \
  $(study lenet $lenet)
part lenet_members 75 $(models --models=lenet --how=$together --members=$many \
  --steps=$((10 * steps)) --repeats=$repeats)
more conv_members 80 $(models --models=$conv --how=$how --members=$few --steps=$steps \
  --repeats=$repeats)
# Does a study that was killed and resumed have the same records to the last bit?
part twin_a 70 $(study a $twin) &&
  part twin_killed 50 bash -c 'kill_midway "$@"' - "$work/b" $(study b $twin) &&
  part twin_b 50 $(study b $twin) &&
  part twins_are_equal 5 diff -rq "$work/a/records" "$work/b/records"
more conv_study 60 $(study f32 $conv_study)
part conv_members_bf16 75 $(models --models=$conv --how=$how --members=$few \
  --steps=$steps --repeats=$repeats --compute_dtype=bfloat16)
more resnet_members 100 $(models --models=resnet20 --how=$how --members=$few \
  --steps=$steps --repeats=$repeats)
more scaling 60 python3 scripts/bench_scaling.py --devices=1 --per_device=100 --steps=100
more torch_compiled 60 $(models --models=lenet,conv6 --members=1 --how=vmap \
  --steps=$steps --repeats=$repeats --torch=graph,compiled)
more conv_study_bf16 60 $(study bf16 $conv_study --config.compute_dtype=bfloat16)

(cd "$work" && tar czf "$out/records.tgz" ./*/records)
echo "=== all: $SECONDS s; failed:${failed:- none}"
[ -z "$failed" ]
