"""Writes the PTX text of the kernels as a C array: embed.py PTX C"""
import sys

text = open(sys.argv[1], "rb").read() + b"\0"
with open(sys.argv[2], "w", encoding="ascii") as out:
    out.write('#include "gpu/kernels.h"\n\nconst unsigned char gpu_kernels_ptx[] = {\n')
    for at in range(0, len(text), 24):
        out.write("".join(f"{byte}," for byte in text[at:at + 24]) + "\n")
    out.write("};\n")
