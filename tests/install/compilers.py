"""The compilers that meson.build names: --cc CC... --end [--cxx CXX... --end] [--flags=FLAG]."""


def parse(args):
    """Returns {"cc": [...], "cxx": [...], "flags": [...]}; cxx is empty where there is none."""
    found = {"cc": [], "cxx": [], "flags": []}
    into = None
    for arg in args:
        if arg.startswith("--flags="):
            found["flags"].append(arg[len("--flags="):])
        elif arg in ("--cc", "--cxx"):
            into = found[arg[2:]]
        elif arg == "--end":
            into = None
        else:
            into.append(arg)
    return found
