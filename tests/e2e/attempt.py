"""One run of the command on something unkind, and what must hold whatever happens.

- It ends by itself, with one of its documented exit codes and not by a signal.
- When it fails: exactly one line on standard error, and nothing is left in the output folder.
- When it succeeds: nothing on standard error, and the output alone is there, with bytes in it.
"""
import json
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "run"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "films"))
from tools import Failed, run  # noqa: E402

EXIT_CODES = range(0, 8)


class Attempt:
    def __init__(self, rgpu, source, folder, name="out.mp4", options=(), before=(), seconds=60):
        """Runs `rgpu transcode source folder/name`, behind the words of `before`."""
        self.problems, self.summary = [], {}
        self.out = pathlib.Path(folder) / name.rstrip("/")
        folder = pathlib.Path(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            done = run([*before, rgpu, "transcode", source, folder / name if name[-1] != "/" else
                        f"{folder / name}/", "--json", "--quiet", "--speed", "p1", *options],
                       seconds, check=False)
        except Failed as error:
            self.code, self.error = None, str(error)
            self.problems.append("hangs")
            return
        self.code = done.returncode
        self.error = done.stderr.decode(errors="replace")
        lines = self.error.splitlines()
        left = sorted(entry.name for entry in folder.iterdir())
        if self.code not in EXIT_CODES:
            self.problems.append(f"ended with {self.code}: {self.error[-2000:]}")
        elif self.code:
            if len(lines) != 1 or not lines[0].startswith("rgpu: ") or len(lines[0]) < 12:
                self.problems.append(f"failed with {len(lines)} lines: {self.error[:800]!r}")
            if left:
                self.problems.append(f"failed and left {left}")
        else:
            if lines:
                self.problems.append(f"succeeded and said {self.error[:800]!r}")
            if left != [self.out.name]:
                self.problems.append(f"succeeded and left {left}")
            elif self.out.is_file() and self.out.stat().st_size == 0:
                self.problems.append("succeeded and left an empty file")
        for line in done.stdout.decode(errors="replace").splitlines():
            try:
                self.summary = json.loads(line)
            except ValueError:
                self.problems.append(f"not JSON: {line[:200]!r}")

    def told(self):
        """Whether damage was counted or named."""
        return self.summary.get("damaged", 0) > 0 or bool(self.summary.get("warnings"))


def frames_of(path):
    """Frames that ffmpeg can decode of the first video track."""
    done = run(["ffprobe", "-v", "quiet", "-select_streams", "V:0", "-count_frames",
                "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path], check=False)
    # A transport stream's tracks are listed again within their program.
    found = re.search(rb"\d+", done.stdout)
    return int(found.group()) if found else 0
