"""Where the command line begins: help at once, everything else by the application.

A process that only prints help imports nothing that a Python process does not have already. The library that reads
arguments alone costs six times as much as that, what `explain` works with eighty times. So the helps are files, made by
`make generate` from the commands; a test compares them.
"""

import os
import sys

_HELPS = os.path.join(os.path.dirname(__file__), "helps")  # noqa: PTH118, PTH120  pathlib costs more than all the rest


def main() -> None:
    """Run the command line; a failure is a sentence on standard error and an exit code."""
    program = _program()
    words = sys.argv[1:]
    text = help_of(words[:-1]) if words[-1:] == ["--help"] else None
    if text is not None:
        sys.stdout.write(text.replace("Usage: dicomroute", f"Usage: {program}", 1))
        return
    from .application import run  # noqa: PLC0415  not for help

    run(program)


def help_of(words: list[str]) -> str | None:
    """Return the help of the command that these words name, all of the command line for none; None if none has it."""
    if not all(word.replace("-", "").isalpha() for word in words):
        return None
    try:
        with open(os.path.join(_HELPS, f"{'.'.join(['dicomroute', *words])}.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            return file.read()
    except OSError:
        return None


def complete_for_kubectl() -> None:
    """Say what may follow the words of `kubectl dicom`, as kubectl asks an executable of this name."""
    from .application import complete  # noqa: PLC0415

    try:
        complete(sys.argv[1:])
    finally:
        print(":0")


def _program() -> str:
    """Return how the command line was called: by its name, or as kubectl's plugin."""
    return "kubectl dicom" if os.path.basename(sys.argv[0]).startswith("kubectl-dicom") else "dicomroute"  # noqa: PTH119
