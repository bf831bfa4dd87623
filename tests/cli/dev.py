#!/usr/bin/env python3
"""./dev from outside: which compiler it takes, and that its look at the scripts finds broken ones.

    dev.py SOURCE_ROOT
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path()
LIMIT = 60
# Stands in for meson: takes note of the compiler, and makes what ninja reads.
MESON = '#!/bin/sh\nprintf "%s" "$CC" >"$2/compiler"\n: >"$2/build.ninja"\n'


class Dev(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="dev-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copy(ROOT / "dev", self.folder)
        (self.folder / "bin").mkdir()
        (self.folder / "bin/meson").write_text(MESON)
        (self.folder / "bin/meson").chmod(0o755)

    def dev(self, *words, **variables):
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return subprocess.run(["bash", self.folder / "dev", "step", *words], text=True, timeout=LIMIT,
                              capture_output=True, env={**os.environ, "PATH": path, **variables})

    def test_a_compiler_of_two_words(self):
        done = self.dev("configure", "build", CC="env cc")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((self.folder / "build/compiler").read_text(), "env cc")
        # The same again keeps what is there, another one does not.
        (self.folder / "build/compiler").unlink()
        self.assertEqual(self.dev("configure", "build", CC="env cc").returncode, 0)
        self.assertFalse((self.folder / "build/compiler").exists())
        self.assertEqual(self.dev("configure", "build", CC="env LC_ALL=C cc").returncode, 0)
        self.assertTrue((self.folder / "build/compiler").exists())

    def test_a_compiler_that_is_not_there(self):
        done = self.dev("configure", "build", CC="no-such-compiler")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Adev: [^\n]*no-such-compiler[^\n]*\n\Z")

    def test_scripts_are_looked_at(self):
        names = ["bench/a.py", "tests/run/a.py", "fuzz/a.py", ".ci/run", "src/librgpu/static.sh",
                 "packaging/completion/rgpu.bash"]
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        done = self.dev("check_python")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for name in names:
            with self.subTest(name=name):
                (self.folder / name).write_text("if (\n")
                self.assertNotEqual(self.dev("check_python").returncode, 0)
                (self.folder / name).write_text("")

    def test_all_scripts_are_meant(self):
        """Whatever the tree has of shell is among what is looked at."""
        text = (ROOT / "dev").read_text()
        for path in ROOT.rglob("*"):
            if path.suffix in (".sh", ".bash") and not path.relative_to(ROOT).parts[0].startswith("build"):
                self.assertIn(str(path.relative_to(ROOT)), text)


if __name__ == "__main__":
    ROOT = pathlib.Path(sys.argv[1]).resolve()
    unittest.main(argv=sys.argv[:1], verbosity=2)
