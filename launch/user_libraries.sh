#!/bin/bash
# usage: launch/user_libraries.sh VENV     what launch/setup.sh --user calls
# Builds the libraries of launch/packages/sources.txt into the Python environment VENV, each once. Needs a C++ compiler
# (Boost is headers alone), and cmake and ninja, which VENV has.
set -euo pipefail
venv=$1
packages=$(dirname "${BASH_SOURCE[0]}")/packages
archives=(https://deb.debian.org/debian/pool/main https://snapshot.debian.org/archive/debian/20250520T000000Z/pool/main)
export PATH=$venv/bin:$PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf '[setup] %s\n' "$*" >&2; }

# fetch SHA256 PATH FILE
fetch() {
  "$venv/bin/python" - "$@" "${archives[@]}" <<'PYTHON'
import hashlib, sys, urllib.request
expected, path, file, *archives = sys.argv[1:]
problems = []
for archive in archives:
    try:
        with urllib.request.urlopen(f"{archive}/{path}", timeout=60) as answer:
            content = answer.read()
    except OSError as error:
        problems.append(f"{archive}/{path}: {error}")
        continue
    if hashlib.sha256(content).hexdigest() == expected:
        open(file, "wb").write(content)
        sys.exit()
    problems.append(f"{archive}/{path}: is not what it was")
sys.exit("setup.sh: " + "\n".join(problems))
PYTHON
}

# What each does not build: tests, examples, programs and what needs more libraries.
flags_of() {
  case $1 in
    libpng1.6) echo -DPNG_SHARED=OFF -DPNG_TESTS=OFF ;;
    libjpeg-turbo) echo -DENABLE_SHARED=OFF -DWITH_SIMD=OFF "-DCMAKE_INSTALL_LIBDIR=$venv/lib" ;;
    fmtlib) echo -DFMT_TEST=OFF -DFMT_DOC=OFF ;;
    spdlog) echo -DSPDLOG_FMT_EXTERNAL=ON -DSPDLOG_BUILD_EXAMPLE=OFF ;;
    cli11) echo -DCLI11_BUILD_TESTS=OFF -DCLI11_BUILD_EXAMPLES=OFF -DCLI11_BUILD_DOCS=OFF ;;
    nlohmann-json3) echo -DJSON_BuildTests=OFF ;;
    prometheus-cpp) echo -DENABLE_PUSH=OFF -DENABLE_PULL=OFF -DENABLE_COMPRESSION=OFF -DENABLE_TESTING=OFF ;;
    protobuf) echo -Dprotobuf_BUILD_TESTS=OFF -Dprotobuf_WITH_ZLIB=OFF ;;
    sentencepiece) echo -DSPM_ENABLE_TCMALLOC=OFF ;;
  esac
}

with_cmake() {
  local name=$1 source=$2
  # Debian leaves out what is for Windows, which CMake looks for before it leaves it out too.
  [[ $name != zlib ]] || { mkdir -p "$source/win32" && touch "$source/win32/zlib1.rc"; }
  # shellcheck disable=SC2046
  cmake -G Ninja -S "$source" -B "$source/build-here" -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_INSTALL_LIBDIR=lib \
    -DCMAKE_PREFIX_PATH="$venv" -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DBUILD_SHARED_LIBS=OFF -DCMAKE_POLICY_VERSION_MINIMUM=3.5 $(flags_of "$name")
  cmake --build "$source/build-here"
  cmake --install "$source/build-here"
}

boost_headers() {
  find "$1/libs" -type d -path '*/include/boost' -prune -exec cp -r -t "$venv/include" {} +
  mkdir -p "$venv/lib/cmake/Boost"
  cat >"$venv/lib/cmake/Boost/BoostConfig.cmake" <<'CMAKE'
if(NOT TARGET Boost::headers)
  add_library(Boost::headers INTERFACE IMPORTED)
  target_include_directories(Boost::headers INTERFACE ${CMAKE_CURRENT_LIST_DIR}/../../../include)
endif()
CMAKE
}

build() {
  local name=$1 archive=$2 source=$scratch/$1
  mkdir "$source"
  tar -xf "$archive" -C "$source" --strip-components=1
  case $name in
    boost*) boost_headers "$source" ;;
    *) with_cmake "$name" "$source" ;;
  esac
}

built=$venv/share/flux-dist-libraries
mkdir -p "$built"
while read -r sum path; do
  archive=$(basename "$path")
  name=${archive%%_*}
  [[ ! -e $built/$archive ]] || continue
  say "$name, from source"
  fetch "$sum" "$path" "$scratch/$archive"
  (build "$name" "$scratch/$archive") >"$built/$name.log" 2>&1 &  # beside a condition, errors would not end it
  wait $! ||
    { tail -n 30 "$built/$name.log" >&2; printf 'setup.sh: %s cannot be built: %s\n' "$name" "$built/$name.log" >&2; exit 2; }
  rm -rf "${scratch:?}/${name:?}" "${scratch:?}/${archive:?}"
  touch "$built/$archive"
done < <(sed -e 's/ *#.*//' -e '/^$/d' "$packages/sources.txt")
