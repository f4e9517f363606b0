"""The command line as a whole: what is there, and what a command costs before it begins."""

import subprocess
import sys

from dicomroute_cli.main import application

COMMANDS = ("validate", "run", "explain", "salvage", "refused", "ledger", "report", "queue", "test")


def test_every_command_is_there() -> None:
    app = application(COMMANDS)
    named = [one.name for one in (*app.registered_commands, *app.registered_groups)]
    assert sorted(str(name) for name in named) == sorted(COMMANDS)


def test_a_command_imports_what_it_needs_itself() -> None:
    code = (
        "import sys\n"
        "from dicomroute_cli.main import main\n"
        "sys.argv = ['dicomroute', 'queue', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.stderr.write(', '.join(sorted({'pydicom', 'aiohttp', 'jsonschema'} & sys.modules.keys())))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
