#!/usr/bin/env bash
# Segments the cases of a list on a Slurm cluster, one shard a task:
#
#   array=$(sbatch --parsable examples/cluster/slurm.sh cases.csv)
#   sbatch --dependency=afterany:$array --array=1 --export=ALL,MERGE=1 examples/cluster/slurm.sh cases.csv
#
# The first argument is the list or folder, all others are options of `mem3d batch`, the same in both lines. Submitted
# again, tasks do only what is not done; a part of them: sbatch --array=7,12 ...
#SBATCH --job-name=mem3d
#SBATCH --array=1-20
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --output=mem3d-%A_%a.log
set -euo pipefail

# The number of tasks in --array=1-N. Tasks that are submitted again need the same number.
shards=${SHARDS:-20}
# Processes of a task; each needs memory of its own.
jobs=${JOBS:-2}
# On clusters with modules or environments, make the command known here: module load ..., source .../activate.
mem3d=${MEM3D:-mem3d}

if [ -n "${MERGE:-}" ]; then
  exec "$mem3d" batch "$@" --merge
fi
# exec: the signal before the end of the time reaches mem3d, which stops between two slices; the command of the Python
# package hands it on to its program.
exec "$mem3d" batch "$@" --shard "slurm/$shards" --jobs "$jobs" --threads "${SLURM_CPUS_PER_TASK:-1}"
