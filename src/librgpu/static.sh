#!/bin/sh
# Makes the static library that is installed: static.sh OBJCOPY AR ROOMS.a OUT.a CC...
set -eu
objcopy=$1 ar=$2 rooms=$3 out=$4
shift 4
object=$out.p.o
trap 'rm -f "$object"' EXIT
"$@" -r -nostdlib -Wl,--whole-archive "$rooms" -o "$object"
"$objcopy" --wildcard --keep-global-symbol='rgpu_*' "$object"
rm -f "$out"
"$ar" rcsD "$out" "$object"
