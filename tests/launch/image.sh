#!/bin/bash
# What launch/flux-dist.def says, without Apptainer: its %setup and %post in a bare Debian 12 (debootstrap, chroot), without
# CUDA; then its %runscript as three ranks of an mpirun outside, which must draw what one rank draws. Needs root, debootstrap
# and mpirun. Four minutes and more, so that tests/run.sh leaves it out.
# usage: tests/launch/image.sh
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
definition=$source/launch/flux-dist.def
root=$(mktemp -d)
trap 'umount -l "$root"/{proc,dev} 2>/dev/null; mountpoint -q "$root/dev" || rm -rf --one-file-system "$root"' EXIT

section() { awk -v name="%$1" '/^%/ {inside = $1 == name; next} inside' "$definition" | sed 's/{{ FLUX_CUDA }}/OFF/'; }
inside() { chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

debootstrap --variant=minbase bookworm "$root" >/dev/null
rm "$root/etc/apt/sources.list"
# The way to the packages is this machine's.
for path in /etc/apt /etc/pip.conf /etc/ssl /usr/share/keyrings /usr/local/share/ca-certificates /etc/resolv.conf /etc/hosts /root/.config/pip; do
  [[ ! -e $path ]] || { mkdir -p "$root$(dirname "$path")"; cp -rT "$path" "$root$path"; }
done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mapfile -t network < <(env | grep -E '^(PIP_|https?_proxy=|HTTPS?_PROXY=|no_proxy=|NO_PROXY=|SSL_CERT|REQUESTS_CA)' || true)

(cd "$source" && section setup | APPTAINER_ROOTFS=$root sh -e)
section post | inside "${network[@]}" /bin/sh -e
du -sh --one-file-system "$root"

# As Apptainer: the environment of the launcher, then %environment, then %runscript.
{ echo '#!/bin/sh'; section environment; section runscript; } >"$root/runscript"
chmod +x "$root/runscript"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
draws() {
  local folder=/root/$1
  shift
  "$@" chroot "$root" /runscript generate --config /opt/flux-dist/configs/demo.textproto --threads 1 --output-dir "$folder"
}
draws one env
draws three mpirun -q --oversubscribe --bind-to none -n 3
for picture in "$root"/root/one/*.png; do cmp "$picture" "$root/root/three/$(basename "$picture")"; done
echo "image.sh: passed in $SECONDS s"
