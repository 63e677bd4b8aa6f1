#!/bin/sh
# The installed flux-dist: finds libtorch in the Python environment FLUX_VENV (one that holds PyPI's torch==2.11.0) and
# starts the program beside the small libraries that came with it. OpenMPI is the machine's own; so is libstdc++ where
# glibc is older than the one that came.
folder=$(dirname "$(dirname "$(readlink -f "$0")")")
gcc=$folder/lib/gcc
LD_PRELOAD="$gcc/libstdc++.so.6 $gcc/libgcc_s.so.1" /bin/true 2>/dev/null || gcc=
for site in "${FLUX_VENV:-FLUX_VENV-is-not-set}"/lib/python3*/site-packages; do
  if [ -e "$site/torch/lib/libtorch_cpu.so" ]; then
    nvidia=$site/nvidia
    LD_LIBRARY_PATH=$folder/lib:${gcc:+$gcc:}$site/torch/lib:$nvidia/cu13/lib:$nvidia/nccl/lib:$nvidia/cudnn/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    exec "$folder/libexec/flux-dist" "$@"
  fi
done
echo "flux-dist: no libtorch in FLUX_VENV=$FLUX_VENV: make one with python3 -m venv DIR, DIR/bin/pip install torch==2.11.0, and set FLUX_VENV=DIR" >&2
exit 2
