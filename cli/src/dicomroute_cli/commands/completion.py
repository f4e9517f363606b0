"""`dicomroute completion`: the script by which a shell completes what is typed."""

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script


class Shell(StrEnum):
    """The shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print the script that completes commands and options.

    bash and zsh: source <(dicomroute completion bash), in ~/.bashrc or ~/.zshrc with the shell's name. fish:
    dicomroute completion fish > ~/.config/fish/completions/dicomroute.fish. kubectl completes `kubectl dicom` with
    kubectl's own script, where kubectl_complete-dicom is on the PATH.
    """
    print(get_completion_script(prog_name="dicomroute", complete_var="_DICOMROUTE_COMPLETE", shell=shell.value))
