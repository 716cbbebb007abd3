#!/usr/bin/env bash
# A SLURM array for the cells that a command still has to run; `bench plan` says how many there are.
#
#   scripts/slurm_array.sh [-n TASKS] [-s "SBATCH OPTIONS"] [--submit] experiment=gbw_rbn/mamem scale=paper seed=[0,1,2,3,4]
#
# Prints the script; --submit hands it to sbatch. Each task runs every TASKS-th of the missing cells. A task that SLURM stops writes a checkpoint
# (USR1 two minutes before the limit) and is queued again; repeating the command submits only what is missing.
set -euo pipefail

tasks=0 options="" submit=no words=()
while [ $# -gt 0 ]; do
  case $1 in
    -n | -s)
      [ $# -ge 2 ] || { echo "$1 needs a value (see -h)" >&2; exit 2; }
      if [ "$1" = -n ]; then tasks=$2; else options=$2; fi
      shift 2 ;;
    --submit) submit=yes; shift ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) words+=("$1"); shift ;;
  esac
done
[ ${#words[@]} -gt 0 ] || { echo "name the cells, e.g. experiment=gbw_rbn/mamem (see -h)" >&2; exit 2; }
case $tasks in "" | *[!0-9]*) echo "-n takes a whole number of tasks, not $tasks" >&2; exit 2 ;; esac

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/results
for word in "${words[@]}"; do case $word in out=*) out=$(realpath -m "${word#out=}") ;; esac; done
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
keys=$out/.sweeps/array-$(date +%Y%m%d-%H%M%S)-$$.keys   # the missing cells, as they are now: tasks must agree on them
todo=$(cd "$root" && "$python" -m bench plan --count --keys "$keys" "${words[@]}")
[ "$todo" -gt 0 ] || { rm -f "$keys"; echo "nothing to run: every cell is finished"; exit 0; }
if [ "$tasks" -eq 0 ] || [ "$tasks" -gt "$todo" ]; then tasks=$todo; fi

quoted=$(printf ' %q' "${words[@]}")
script=$(
  cat <<SBATCH
#!/usr/bin/env bash
#SBATCH --job-name=holonomy
#SBATCH --array=0-$((tasks - 1))
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=4
# $todo cells to run
cd $(printf %q "$root")
export BENCH_OFFLINE=\${BENCH_OFFLINE:-1}   # compute nodes read a prepared data folder: bench prepare data=...
$(printf %q "$python") bench/run.py$quoted $(printf %q "only=$keys") 'shard=['\$SLURM_ARRAY_TASK_ID',$tasks]' trainer.threads=\$SLURM_CPUS_PER_TASK &
job=\$!
trap 'kill -USR1 \$job; wait \$job; scontrol requeue \$SLURM_ARRAY_JOB_ID\_\$SLURM_ARRAY_TASK_ID' USR1
wait \$job
SBATCH
)
if [ "$submit" = yes ]; then
  command -v sbatch >/dev/null || { echo "sbatch is not on this machine; without --submit the script is printed" >&2; exit 2; }
  # shellcheck disable=SC2086
  printf '%s\n' "$script" | sbatch $options
else
  printf '%s\n' "$script"
  echo "# to submit: add --submit${options:+ -s \"$options\"}"
fi
