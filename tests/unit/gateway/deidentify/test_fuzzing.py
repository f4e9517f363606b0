"""The fuzzer of the engine runs, and sees what it looks for."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from planted.encoding import EXPLICIT, data_set
from treated_ct import ct

DRIVER = Path(__file__).parents[3] / "fuzz" / "deidentify.py"


@pytest.fixture(scope="module")
def fuzzer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_deidentify", DRIVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SAID = (0x00120062, "CS", b"YES")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (ct(1), r"\(0008,0018\) has a UID of the original"),
        (data_set([(0x00100010, "PN", b"Qzxmiller^Ann"), SAID], EXPLICIT), r"\(0010,0010\) has a name"),
        (data_set([(0x00400275, "SQ", [[(0x00081050, "PN", b"A^B")]]), SAID], EXPLICIT), r"\(0008,1050\) has a name"),
        (data_set([(0x00090010, "LO", b"ACME"), SAID], EXPLICIT), r"\(0009,0010\) is left"),
        (data_set([(0x60003000, "OW", bytes(8)), SAID], EXPLICIT), r"\(6000,3000\) is left"),
        (data_set([(0x00100010, "PN", b"ANONYMIZED")], EXPLICIT), "does not say"),
    ],
)
def test_a_data_set_that_is_not_de_identified_is_seen(fuzzer: ModuleType, content: bytes, sentence: str) -> None:
    with pytest.raises(fuzzer.Broken, match=sentence):
        fuzzer.kept_promises(content)


def test_an_input_that_breaks_something_is_kept_and_can_be_tried_again(
    fuzzer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: bytes) -> None:
        raise fuzzer.Broken("a promise")

    monkeypatch.setattr(fuzzer.resource, "setrlimit", lambda *_: None)  # of this process it would stay
    monkeypatch.setattr(fuzzer, "MOST_SEED_BYTES", 1)
    with monkeypatch.context() as within:
        within.setattr(fuzzer, "kept_promises", broken)
        assert fuzzer.main(["--inputs", "40", "--seed", "1", "--keep", str(tmp_path)]) == 1
    (first, *_) = sorted(tmp_path.iterdir())
    assert "Broken: a promise" in capsys.readouterr().out
    assert fuzzer.main([str(first)]) == 0
    assert "released" in capsys.readouterr().out
