#!/bin/bash
# The kernels under NVIDIA's compute-sanitizer, for a machine with a card: out-of-bounds and misaligned accesses, races in
# shared memory, wrong synchronisation, memory read before it was written.
# usage: tests/compute_sanitizer.sh [GTEST_FILTER]      (*Gpu* unless told)
# compute-sanitizer comes with NVIDIA's CUDA toolkit, or as a wheel; COMPUTE_SANITIZER says where it is. FLUX_BUILD as
# launch/setup.sh has it.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${FLUX_BUILD:-$root/build}
sanitizer=${COMPUTE_SANITIZER:-compute-sanitizer}
stop() { printf 'compute_sanitizer.sh: %s\n' "$*" >&2; exit 2; }
command -v "$sanitizer" >/dev/null || stop "no $sanitizer: pip install nvidia-cuda-sanitizer-api==13.0.85 and set COMPUTE_SANITIZER to its nvidia/cu13/bin/compute-sanitizer"
nvidia-smi -L >/dev/null 2>&1 || stop "no card here"
[[ -x $build/tests/test_model ]] || stop "no $build/tests/test_model: run tests/run.sh first"

failed=()
for tool in memcheck racecheck synccheck initcheck; do
  # Only our own kernels; but initcheck must see who wrote what they read.
  filter=(--kernel-name kernel_substring=flux)
  [[ $tool != initcheck ]] || filter=()
  OMP_NUM_THREADS=1 "$sanitizer" --tool "$tool" --error-exitcode 9 "${filter[@]}" \
    "$build/tests/test_model" --gtest_filter="${1:-*Gpu*}" --gtest_brief=1 || failed+=("$tool")
done
((${#failed[@]} == 0)) || { printf 'compute_sanitizer.sh: failed: %s\n' "${failed[*]}"; exit 1; }
printf 'compute_sanitizer.sh: nothing found\n'
