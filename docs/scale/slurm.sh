#!/usr/bin/env bash
# One search on many GPUs: every task of the array is a worker of the same study.
#   STORAGE=postgresql://tuner@db.lab/tuning MLFLOW_TRACKING_URI=https://mlflow.lab \
#     sbatch docs/scale/slurm.sh nuclei unet-1 100
# A worker that is cancelled, runs out of time or dies leaves its trial to the others.
#SBATCH --job-name=nanonuclei-tune
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --output=tune-%A_%a.log
set -euo pipefail
task=${1:-nuclei} study=${2:?name of the study} trials=${3:-30}
: "${STORAGE:?URL of the database, without its password}" "${MLFLOW_TRACKING_URI:?URL of the tracking server}"
cd "${SLURM_SUBMIT_DIR:?started by sbatch}"
export PGPASSFILE="${PGPASSFILE:-$HOME/.pgpass}" # host:port:database:user:password, mode 600
# shellcheck disable=SC1091
source .venv/bin/activate
export MLFLOW_EXPERIMENT_NAME="${MLFLOW_EXPERIMENT_NAME:-$task}"
# Not through `mlflow run`, which keeps SIGTERM from the worker: one that is cancelled gives its trial back.
srun python src/nanonuclei tune "$task" --tuner optuna --trials "$trials" --study "$study" --storage "$STORAGE"
