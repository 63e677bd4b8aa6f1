#!/bin/bash
# Sets this machine up, builds flux-dist and draws the embedded model's demo on the CPU: one encoder rank and a
# transformer over two. Runs from anywhere; a second run fetches nothing, and draws over the first one's pictures.
# usage: launch/quickstart.sh [--user]      --user, FLUX_VENV, FLUX_BUILD and FLUX_CUDA as launch/setup.sh has them
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${FLUX_BUILD:-$root/build}
"$root/launch/setup.sh" "$@"
venv=${FLUX_VENV:-$root/.venv}
[[ ! -e $venv/bin/mpirun ]] || export PATH=$venv/bin:$PATH  # the program is linked to its library

# Three ranks run on any number of cores, also as root and inside containers.
if [[ $(id -u) == 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_btl_vader_single_copy_mechanism=none
pictures=$build/pictures
mpirun --oversubscribe --bind-to none -n 3 "$build/launch/flux-dist" generate \
  --config "$root/configs/demo.textproto" --output-dir "$pictures" --overwrite --progress bar

printf '\nPictures:\n'
ls "$pictures"/*.png
printf 'Gallery: %s\n' "$pictures/index.html"
