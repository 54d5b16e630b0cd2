#!/bin/bash
# One study on several nodes: a process on each, which together make one mesh of all their
# devices. In the repository, on a file system that the nodes share, with the environment
# of lth_jax activated:
#
#   sbatch --nodes=4 --gres=gpu:8 scripts/slurm/several_nodes.sh --config=conv6
#
# Replicates need nothing of each other: where a study has many, an array of shards
# (array.sh) does the same, and the loss of a node costs one shard. This is for nets whose
# batch must be split, or for more devices than a shard has members.

#SBATCH --job-name=lth_jax
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
# All processes are told, and save at the same step; see one_node.sh.
#SBATCH --signal=TERM@120

export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
# A process that is gone takes the others down a minute later. Not at once, as with
# --kill-on-bad-exit: 85 is an exit code too, and others may still be saving.
srun --wait=60 python -m lth_jax.main "$@"
code=$?

# As in one_node.sh; srun gives the highest code of all processes. 86: one was lost.
case $code in
  85 | 143 | 75) scontrol requeue "$SLURM_JOB_ID" ;;
  86) [ "${SLURM_RESTART_COUNT:-0}" -ge 20 ] || scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
