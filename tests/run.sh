#!/bin/bash
# Sets this machine up with the references, builds everything, and checks it: includes between rooms, format, and
# every test, those of the readers of untrusted input also under ASan and UBSan. Arguments go to ctest (-R name, -LE gpu).
# FLUX_VENV, FLUX_BUILD and FLUX_CUDA as launch/setup.sh has them.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${FLUX_VENV:-$root/.venv}
build=${FLUX_BUILD:-$root/build}
"$root/launch/setup.sh" tests || exit
export PATH=$venv/bin:$PATH

failures=()
check() {
  local name=$1
  shift
  "$@" || failures+=("$name")
}

format() {
  (cd "$root" && find parallel model runtime launch tests \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) -print0) |
    (cd "$root" && xargs -0 clang-format --dry-run --Werror)
}

check structure "$root/tests/structure.sh"
check format format
check tests ctest --test-dir "$build" --output-on-failure -j "$(nproc)" "$@"

if ((${#failures[@]})); then
  printf '\ntests/run.sh: failed: %s\n' "$(IFS=,; echo "${failures[*]}")"
  exit 1
fi
printf '\ntests/run.sh: everything passed\n'
