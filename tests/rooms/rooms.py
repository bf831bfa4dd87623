#!/usr/bin/env python3
"""Checks who includes whom against the room table of meson.build, and who starts threads.

    rooms.py ROOT           the tree itself
    rooms.py ROOT selftest  a tree with one violation of each kind: all must be found

A room includes its own headers, those of the rooms in its row, and the libraries in its row. apps/
and examples/ include the public headers (and what lies beside them) only; public headers only each
other. Threads are started by thread_start alone.
"""
import ast
import pathlib
import re
import shutil
import sys
import tempfile

# Headers of libraries that only the rooms with that name in their row may include.
LIBRARIES = {"libavformat/": "avformat", "libavcodec/": "avcodec", "libavutil/": "avutil",
             "libavfilter/": "avfilter", "libswscale/": "swscale", "libswresample/": "swresample",
             "zimg": "zimg"}


def table(root):
    """{room: (rooms below, libraries)}, read from meson.build itself."""
    text = (root / "meson.build").read_text()
    found = re.search(r"^rooms = \[\n(.*?)^\]", text, re.M | re.S)
    rooms = {}
    for line in found.group(1).splitlines():
        line = re.sub(r"#.*", "", line).strip().rstrip(",")
        if line:
            # The libraries are meson's variables: quoted, the line is a Python list.
            name, below, libraries = re.fullmatch(r"\[('\w+'),\s*(\[.*?\]),\s*\[(.*?)\]\]",
                                                  line).groups()
            rooms[ast.literal_eval(name)] = (ast.literal_eval(below),
                                             re.findall(r"\w+", libraries))
    return rooms


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
        if found:
            yield number, found.group(1) == "<", found.group(2)


def sources(folder):
    return sorted(p for kind in ("*.c", "*.h", "*.cc", "*.cpp") for p in folder.rglob(kind))


def library_of(header):
    return next((LIBRARIES[start] for start in LIBRARIES if header.startswith(start)), None)


def check_rooms(root, rooms):
    problems, names = [], list(rooms)
    for name, (below, _) in rooms.items():
        for other in below:
            if other not in names or names.index(other) >= names.index(name):
                problems.append(f"meson.build: room {name} may not use {other}, which does not "
                                "stand before it in the table")
    for path in sources(root / "src"):
        where = path.relative_to(root)
        room = where.parts[1]
        if room not in rooms:
            problems.append(f"{where}: {room} is not in the room table")
            continue
        below, libraries = rooms[room]
        for number, angled, header in includes(path):
            line = f"{where}:{number}: "
            first = header.split("/")[0]
            if ".." in header.split("/"):
                problems.append(line + f"{header} climbs out of the room")
            elif not angled and ("/" not in header or first not in rooms):
                problems.append(line + f'"{header}" names no room')
            elif not angled and first != room and first not in below:
                problems.append(line + f"room {room} may not include {header}")
            elif angled and library_of(header) and library_of(header) not in libraries:
                problems.append(line + f"room {room} may not use {header}")
    return problems


def check_users(root, rooms):
    """What stands outside of the library sees its public headers only."""
    problems = []
    for name in ("apps", "examples", "include"):
        for path in sources(root / name):
            for number, angled, header in includes(path):
                line = f"{path.relative_to(root)}:{number}: "
                beside = not angled and name != "include" and ".." not in header and \
                    (path.parent / header).exists()
                if angled and library_of(header):
                    problems.append(line + f"{name} may not use {header}")
                elif header.split("/")[0] in rooms and not beside:
                    problems.append(line + f"{name} may not include {header}")
                elif not angled and not beside:
                    problems.append(line + f'"{header}" does not lie beside it')
    return problems


def check_threads(root):
    """All of the library's threads leave the program's signals alone: thread_start sees to it."""
    return [f"{path.relative_to(root)}:{number}: pthread_create instead of thread_start"
            for path in sources(root / "src") if path != root / "src/base/thread.c"
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if re.search(r"\bpthread_create\(", line)]


def check(root):
    rooms = table(root)
    if len(rooms) < 2:
        return ["no room table in meson.build"]
    return check_rooms(root, rooms) + check_users(root, rooms) + check_threads(root)


VIOLATIONS = {
    "src/media/a.c": '#include "media/packet.h"\n#include "codec/codec.h"\n',
    "src/base/b.h": '#include "media/packet.h"\n',
    "src/node/c.c": '#include "file/reader.h"\n',
    "src/media/d.c": "#include <libavcodec/avcodec.h>\n",
    "src/media/e.c": '#include "../codec/codec.h"\n',
    "src/media/f.c": '#include "packet.h"\n',
    "src/cellar/g.c": '#include "base/error.h"\n',
    "apps/rgpu/h.c": '  #  include "file/reader.h"\n',
    "examples/i.c": "#include <libavformat/avformat.h>\n",
    "include/rgpu/j.h": '#include "base/error.h"\n',
    "src/node/k.c": "int x = pthread_create(&thread, NULL, run, NULL);\n",
}


def selftest(root):
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in VIOLATIONS.items():
            tree = pathlib.Path(folder) / name.replace("/", "-")
            path = tree / name
            path.parent.mkdir(parents=True)
            shutil.copy(root / "meson.build", tree)
            path.write_text("#include <stdio.h>\n" + text)
            found = check(tree)
            if len(found) != 1 or str(name) not in found[0]:
                problems.append(f"{name}: {found}")
        tree = pathlib.Path(folder) / "table"
        tree.mkdir()
        (tree / "meson.build").write_text("rooms = [\n  ['base', ['media'], []],\n"
                                          "  ['media', [], []],\n]\n")
        if len(check(tree)) != 1:
            problems.append("a table that points up is not found")
    return problems


def main():
    root = pathlib.Path(sys.argv[1])
    problems = selftest(root) if sys.argv[2:] == ["selftest"] else check(root)
    print("\n".join(problems) if problems else
          f"{len(table(root))} rooms, {len(sources(root / 'src'))} files: all includes point down, threads by thread_start")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
