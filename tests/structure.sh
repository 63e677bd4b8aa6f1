#!/bin/bash
# How the tree hangs together: arrows launch -> runtime -> model -> parallel and never back, MPI and NCCL only in
# parallel, ATen out of the kernels' .cu files, no file over 400 lines, none named after what it is not. usage: tests/structure.sh [FOLDER]
set -uo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" || exit 2
broken=0

# refuse WHAT PATTERN FILE...: no line of these files may match.
refuse() {
  local what=$1 pattern=$2
  shift 2
  (($#)) || return 0
  if grep -HnE "$pattern" "$@"; then
    printf '^ %s\n' "$what"
    broken=1
  fi
}
code() { find "$@" -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh'; }

mapfile -t parallel < <(code parallel)
mapfile -t model < <(code model)
mapfile -t runtime < <(code runtime)
mapfile -t launch < <(code launch)
mapfile -t plain < <(code parallel model launch | grep -vx model/tokenizer/sentencepiece_model.cc)
mapfile -t kernels < <(find model parallel -name '*.cu' -o -name '*.cuh')
include='^ *# *include *["<]'

refuse 'parallel includes a higher room' "$include(model|runtime|launch)/" "${parallel[@]}"
refuse 'model includes a higher room' "$include(runtime|launch)/" "${model[@]}"
refuse 'runtime includes a higher room' "$include"'launch/' "${runtime[@]}"
refuse 'MPI and NCCL headers belong in parallel' "$include(mpi|nccl)\.h" "${model[@]}" "${runtime[@]}" "${launch[@]}"
refuse "protobuf's headers belong in runtime and in the reader of sentencepiece's models" "$include(google/protobuf/|.*\.pb\.h)" "${plain[@]}"
refuse 'kernels see raw pointers, not ATen' "$include(ATen|c10|torch)/" "${kernels[@]}"

while read -r file; do
  printf '%s: a name that says nothing\n' "$file"
  broken=1
done < <(find parallel model runtime launch tests -name __pycache__ -prune -o -print |
  grep -iE '(^|[/_-])(utils?|helpers?|common|managers?)([._/-]|$)')

while read -r lines file; do
  [[ $file == total ]] || { printf '%s: %s lines, 400 at most\n' "$file" "$lines"; broken=1; }
done < <(find parallel model runtime launch tests \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.py' -o -name '*.sh' \
  -o -name '*.proto' \) -print0 | xargs -0 wc -l | awk '$1 > 400')
exit $broken
