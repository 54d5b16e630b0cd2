#!/bin/bash
# Runs many studies, or many shards of one, as tasks of an array. Run it in the
# repository, with the environment of lth_jax activated; %2 runs two tasks at a time:
#
#   sbatch --array=1-4%2 scripts/slurm/array.sh scripts/slurm/seeds.txt --config=mnist1d
#   sbatch --array=1-4 scripts/slurm/array.sh scripts/slurm/shards.txt --config=mnist1d
#
# Task N has the flags that follow, and those of line N of the file, which include its own
# workdir. Each task is preempted, requeued and resumed separately, as in one_node.sh.
# When all have ended, write one page of them:
#
#   sbatch --dependency=afterany:JOB --wrap 'python -m lth_jax.report --workdir=…'

#SBATCH --job-name=lth_jax
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120

read -ra point <<<"$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1")"
if [ "${#point[@]}" = 0 ]; then
  echo "error: $1 has no line $SLURM_ARRAY_TASK_ID" >&2
  exit 2
fi
shift

export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
srun python -m lth_jax.main "$@" "${point[@]}"
code=$?

# As in one_node.sh; requeues only this task of the array.
case $code in
  85 | 143 | 75) scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
