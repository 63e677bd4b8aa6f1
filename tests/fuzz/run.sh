#!/bin/bash
# Fuzzes every reader of untrusted bytes for so many seconds each, as many at once as there are cores, each time from
# another seed. usage: tests/fuzz/run.sh SECONDS [TARGET...]
# An input that breaks a reader is left in the working directory as fuzz-TARGET-broken. FLUX_BUILD as launch/setup.sh has it.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fuzz=${FLUX_BUILD:-$root/build}/tests/test_fuzz
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [TARGET...]}
shift
[[ -x $fuzz ]] || { printf 'tests/fuzz/run.sh: no %s: run tests/run.sh first\n' "$fuzz" >&2; exit 2; }
(($#)) || mapfile -t names < <("$fuzz" --list)
(($#)) && names=("$@")
seed=$(date +%s)
printf 'seed %s\n' "$seed"
printf '%s\n' "${names[@]}" | OMP_NUM_THREADS=1 xargs -P "$(nproc)" -I{} "$fuzz" {} "$seconds" "$seed"
