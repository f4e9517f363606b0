"""The command line as a whole: what is there, what a command costs before it begins, and what shells are told."""

import ast
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dicomroute_cli import main
from dicomroute_cli.application import COMMANDS, helps

PROGRAM = Path(sys.executable).with_name("dicomroute")
HELPS = Path(main.__file__).parent / "helps"
NAMES = sorted(file.stem for file in HELPS.glob("*.txt"))
ONE_PLATFORM = {"crypt", "fcntl", "grp", "msvcrt", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd"} | {
    "syslog", "termios", "tty", "winreg", "winsound",
}  # fmt: skip
"""Modules of the standard library that are there on some systems alone (the Unix and the Windows specific services)."""


def test_the_helps_are_those_of_the_commands() -> None:
    made = helps()
    assert {name.split(".")[1] for name in made if "." in name} == set(COMMANDS)
    for name, text in made.items():
        assert (HELPS / f"{name}.txt").read_text() == text, f"the help of {name} is stale: run `make generate`"
        assert max(map(len, text.splitlines())) <= 100
    assert sorted(made) == NAMES, "a help without a command: run `make generate`"


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_is_there_at_once(name: str) -> None:
    """In at most five times the processor time of a process that does nothing."""
    words = [str(PROGRAM), *name.split(".")[1:], "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, (HELPS / f"{name}.txt").read_text(), "")
    nothing = min(processor_seconds([sys.executable, "-c", "pass"]) for _ in range(3))
    help_ = min(processor_seconds(words) for _ in range(3))
    assert help_ <= 5 * nothing, f"{help_:.3f} s beside {nothing:.3f} s"


def processor_seconds(words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_among_other_words_is_the_same() -> None:
    done = subprocess.run(
        [PROGRAM, "queue", "list", "--limit", "none", "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, (HELPS / "dicomroute.queue.list.txt").read_text()), done.stderr


def test_a_command_imports_what_it_needs_itself() -> None:
    code = (
        "import sys\n"
        "from dicomroute_cli.main import main\n"
        "sys.argv = ['dicomroute', 'queue', '--help', '--']\n"  # not the file
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.stderr.write(', '.join(sorted({'pydicom', 'aiohttp', 'jsonschema', 'rich.table'} & sys.modules.keys())))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_a_command_that_is_not_there_is_told_with_what_was_meant() -> None:
    done = subprocess.run([PROGRAM, "queeu"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "No such command 'queeu'. Did you mean 'queue'?" in done.stderr


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"run"}))
def test_what_runs_no_gateway_runs_on_every_system(command: str) -> None:
    """No module that a command imports of ours imports what one system alone has; `run` starts gateways, on Linux."""
    code = (
        "import sys\n"
        "from dicomroute_cli.application import application\n"
        f"application().get_command(None, {command!r})\n"
        "print('\\n'.join(m.__file__ for n, m in sys.modules.items() if n.startswith('dicomroute_') and m.__file__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    files = done.stdout.split()
    assert any(file.endswith(f"/commands/{'find' if command == 'move' else command}.py") for file in files) or (
        command == "report"
    )
    assert {file: found for file in files if (found := imports_of(Path(file)) & ONE_PLATFORM)} == {}


def imports_of(file: Path) -> set[str]:
    """Return what a module imports when it is imported: not what its functions do."""
    found = set[str]()
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        for one in ast.iter_child_nodes(waiting.pop()):
            if isinstance(one, ast.Import):
                found |= {name.name.partition(".")[0] for name in one.names}
            elif isinstance(one, ast.ImportFrom) and one.module and not one.level:
                found.add(one.module.partition(".")[0])
            elif not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                waiting.append(one)
    return found


def test_an_import_of_one_platform_would_be_found() -> None:
    from dicomroute_cli import state_lock

    assert imports_of(Path(state_lock.__file__)) & ONE_PLATFORM == {"fcntl"}


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """In a shell that has read the script as its users do."""
    script = (
        "source <(dicomroute completion bash)\n"
        'try() { COMP_WORDS=(dicomroute "$@"); COMP_CWORD=$#; COMPREPLY=(); _dicomroute_completion dicomroute; '
        'echo "${COMPREPLY[*]}"; }\n'
        "try que\ntry queue re\ntry queue list --adm\ntry ledger -o y\n"
    )
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert done.stdout.splitlines() == ["queue", "retry release", "--admin", "yaml"], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    done = subprocess.run([PROGRAM, "completion", shell], capture_output=True, text=True, check=True, timeout=60)
    assert f"_DICOMROUTE_COMPLETE=complete_{shell}" in done.stdout


def test_kubectl_has_it_as_a_plugin() -> None:
    """It looks for kubectl-dicom, and asks kubectl_complete-dicom what may follow; `:0` ends the answer."""
    plugin = PROGRAM.with_name("kubectl-dicom")
    done = subprocess.run([plugin, "queue", "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("Usage: kubectl dicom queue ")
    wrong = subprocess.run([plugin, "queue", "lst"], capture_output=True, text=True, check=False, timeout=60)
    assert "Try 'kubectl dicom queue --help' for help." in wrong.stderr
    asked = [PROGRAM.with_name("kubectl_complete-dicom"), "queue", "list", "--in"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    expected = "Only deliveries in this state: Pending, Waiting, Unconfirmed, Held, Skipped, DeadLettered."
    assert done.stdout.splitlines() == [f"--in\t{expected}", ":0"]
