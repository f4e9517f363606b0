"""Writes the helps of all commands: `python -m dicomroute_cli.generate FOLDER`."""

import sys
from pathlib import Path

from .application import helps


def main(folder: Path) -> None:
    """Write a file for each command, and remove those of commands that are gone."""
    for name, text in (texts := helps()).items():
        (folder / f"{name}.txt").write_text(text)
    for file in folder.glob("*.txt"):
        if file.stem not in texts:
            file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
