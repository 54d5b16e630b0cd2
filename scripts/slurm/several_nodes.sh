#!/bin/bash
# Runs one study on several nodes: a process on each, which together make one mesh of all
# their devices. Run it in the repository, on a file system that the nodes share, with the
# environment of lth_jax activated:
#
#   sbatch --nodes=4 --gres=gpu:8 scripts/slurm/several_nodes.sh --config=conv6
#
# Replicates are independent. If a study has many, an array of shards (array.sh) does the
# same, and the loss of a node costs one shard. This script is for nets whose batch must be
# split, or for more devices than a shard has members.

#SBATCH --job-name=lth_jax
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
# All processes get the signal, and save at the same step; see one_node.sh.
#SBATCH --signal=TERM@120

export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
# When a process ends, srun ends the others a minute later. --kill-on-bad-exit would end
# them at once, also after exit code 85, when others may still be saving.
srun --wait=60 python -m lth_jax.main "$@"
code=$?

# As in one_node.sh; srun returns the highest code of all processes. 86: one was lost.
case $code in
  85 | 143 | 75) scontrol requeue "$SLURM_JOB_ID" ;;
  86) [ "${SLURM_RESTART_COUNT:-0}" -ge 20 ] || scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
