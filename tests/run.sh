#!/bin/bash
# Sets this machine up with the references, builds everything, and checks it: includes between rooms, format, scripts,
# clang-tidy (where something changed since it was last clean), the program without CUDA, and every test; readers of
# untrusted input and how ranks talk also under sanitizers. Arguments go to ctest (-R name, -LE gpu).
# FLUX_VENV, FLUX_BUILD and FLUX_CUDA as launch/setup.sh has them.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${FLUX_VENV:-$root/.venv}
build=${FLUX_BUILD:-$root/build}
"$root/launch/setup.sh" tests || exit
export PATH=$venv/bin:$PATH

failures=()
check() {
  local name=$1 began=$SECONDS
  shift
  "$@" || failures+=("$name")
  printf '[tests] %s: %d s\n' "$name" $((SECONDS - began))
}

format() {
  (cd "$root" && find parallel model runtime launch tests \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) -print0) |
    (cd "$root" && xargs -0 clang-format --dry-run --Werror)
}

scripts() {
  find "$root/launch" "$root/tests" "$root/.ci" -type f -exec grep -lZE '^#!/bin/(ba)?sh' {} + | xargs -0 shellcheck
}

# Not optimised, so that it is compiled sooner.
without_cuda() {
  grep -q '^FLUX_CUDA:BOOL=ON' "$build/CMakeCache.txt" || return 0
  local other=$build-without-cuda
  mkdir -p "$other"
  cmake -G Ninja -S "$root" -B "$other" -DFLUX_VENV="$venv" -DFLUX_CUDA=OFF -DBUILD_TESTING=OFF \
    -DCMAKE_BUILD_TYPE=None >"$other/configure.log" 2>&1 ||
    { cat "$other/configure.log"; return 1; }
  cmake --build "$other" --target flux-dist || return
  "$other/launch/flux-dist" --version | grep -q 'CPU only' &&
    "$other/launch/flux-dist" tokenize --config "$root/configs/demo.textproto" -p 'a red circle' >/dev/null
}

check structure "$root/tests/structure.sh"
check format format
check scripts scripts
check clang-tidy python "$root/tests/tidy.py" "$build"
check 'without CUDA' without_cuda
# Two more at once than there are cores: those that begin first, Slurm's and those of failures, wait for most of the time.
check tests ctest --test-dir "$build" --output-on-failure -j $(($(nproc) + 2)) "$@"

took=$(printf '%d min %d s' $((SECONDS / 60)) $((SECONDS % 60)))
if ((${#failures[@]})); then
  printf '\ntests/run.sh: failed in %s: %s\n' "$took" "$(IFS=,; echo "${failures[*]}")"
  exit 1
fi
printf '\ntests/run.sh: everything passed in %s\n' "$took"
