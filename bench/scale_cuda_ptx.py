#!/usr/bin/env python3
"""Takes the PTX text of scale_cuda's kernels out of libavfilter, for bench_resize_peers.

    bench/scale_cuda_ptx.py LIBAVFILTER PTX

FFmpeg has its kernels in the library as text that the driver compiles, most often compressed.
"""
import sys
import zlib

KERNEL = b".entry Subsample_Bicubic_nv12_nv12("
GZIP = b"\x1f\x8b\x08"
TEXT_MAX = 16 << 20


def texts(library):
    """All that may be PTX: what is compressed, and what is plain up to its NUL."""
    at = library.find(GZIP)
    while at >= 0:
        try:
            yield zlib.decompressobj(31).decompress(library[at:at + TEXT_MAX], TEXT_MAX)
        except zlib.error:
            pass
        at = library.find(GZIP, at + 1)
    at = library.find(b".version ")
    while at >= 0:
        yield library[at:library.find(b"\0", at)]
        at = library.find(b".version ", at + 1)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        library = file.read()
    for text in texts(library):
        if KERNEL in text:
            with open(sys.argv[2], "wb") as file:
                file.write(text)
            return
    sys.exit(f"{sys.argv[1]}: has no kernels of scale_cuda")


if __name__ == "__main__":
    main()
