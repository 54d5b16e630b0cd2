#!/bin/bash
# Runs a study on one node, with all devices that the job has there. Run it in the
# repository, with the environment of lth_jax activated:
#
#   sbatch scripts/slurm/one_node.sh --config=mnist1d --workdir=runs/mnist1d
#   sbatch --gres=gpu:4 --time=12:00:00 scripts/slurm/one_node.sh --config=conv6
#
# Arguments of the script are flags of `python -m lth_jax.main`. When the job is preempted
# or its time is over, the study saves, and the job is requeued and resumes.

#SBATCH --job-name=lth_jax
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
# Signals the study, by srun, two minutes before its time is over, or up to a minute
# earlier. B:TERM would signal only this script, and not the study.
#SBATCH --signal=TERM@120

# Since Slurm 22.05, srun does not inherit this from sbatch.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
srun python -m lth_jax.main "$@"
code=$?

# 85: it was asked to stop, and saved. 143: the same, before there was anything to save.
# 75: another job uses its workdir, maybe a process that outlived its own job; Slurm waits
# two minutes before it starts the job again. By itself, Slurm requeues neither a job that
# ends in its grace time nor one whose time is over. A cancelled job does not get here.
case $code in
  85 | 143 | 75) scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
