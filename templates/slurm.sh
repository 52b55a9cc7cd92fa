#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A class as a job array: sbatch --array=0-15 templates/slurm.sh 2 SUBMISSIONS DEST
# Every task takes every 16th submission and writes to DEST, which all nodes see. A task that is
# killed loses the submission in hand and nothing else: submit the same array again. At the end run
#   make grade-class LAB=2 SUBMISSIONS=... DEST=...
# once: it finds all results in the cache and writes grades.csv and summary.html over all of them.
#SBATCH --job-name=strata
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=02:00:00
#SBATCH --requeue
set -eu
lab=$1 submissions=$2 dest=$3
cd "${SLURM_SUBMIT_DIR:-.}"
task=$((${SLURM_ARRAY_TASK_ID:-0} - ${SLURM_ARRAY_TASK_MIN:-0})) # of --array=1-16, too
exec "$(tools/doctor --python)" -m grader.grading.grade_class --lab "$lab" --submissions "$submissions" --dest "$dest" \
	--build "build/node-$task" --shard "$task/${SLURM_ARRAY_TASK_COUNT:-1}"
