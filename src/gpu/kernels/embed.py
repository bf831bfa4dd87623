"""Writes the PTX text of kernels as a C array, which HEADER declares: embed.py PTX C HEADER ARRAY"""
import sys

text = open(sys.argv[1], "rb").read() + b"\0"
with open(sys.argv[2], "w", encoding="ascii") as out:
    out.write(f'#include "{sys.argv[3]}"\n\nconst unsigned char {sys.argv[4]}[] = {{\n')
    for at in range(0, len(text), 24):
        out.write("".join(f"{byte}," for byte in text[at:at + 24]) + "\n")
    out.write("};\n")
