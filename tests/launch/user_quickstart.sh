#!/bin/bash
# launch/quickstart.sh --user as on a machine where our apt packages are not and nobody is root: in a mount namespace of
# its own every -dev package but the compiler's is hidden, and MPI, protoc and pkg-config with them. Needs root for that.
# usage: tests/launch/user_quickstart.sh     FLUX_CUDA as launch/setup.sh has it. Ten minutes and more, so that
#                                            tests/run.sh leaves it out
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[[ ${1:-} == inside ]] || exec unshare --mount "$0" inside

folder=$(mktemp -d)
mkdir "$folder/upper" "$folder/work" "$folder/home"
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$folder/upper,workdir=$folder/work" /usr
mountpoint -q /usr

hidden() {
  dpkg-query -W -f '${Package}\n' | grep -E -- '-dev$' | grep -vE '^(libc6|libstdc\+\+-.*|libgcc-.*|linux-libc|libcrypt)-dev$'
  printf '%s\n' openmpi-bin openmpi-common protobuf-compiler pkg-config pkgconf pkgconf-bin cmake ninja-build mold ccache
}
hidden | while read -r package; do dpkg -L "$package" 2>/dev/null || true; done | grep ^/usr/ |
  while read -r file; do [[ -d $file && ! -L $file ]] || rm -f "$file"; done
for program in mpicc mpirun protoc pkg-config; do
  ! command -v "$program" >/dev/null || { echo "$program is not hidden" >&2; exit 1; }
done

git clone -q "$root" "$folder/project"
chown -R nobody "$folder/project" "$folder/home"
chmod 755 "$folder"
setpriv --reuid nobody --regid nogroup --clear-groups env -u FLUX_VENV -u FLUX_BUILD HOME="$folder/home" \
  PATH=/usr/local/bin:/usr/bin:/bin "$folder/project/launch/quickstart.sh" --user
echo "user_quickstart.sh: passed in $SECONDS s; the folder is $folder"
