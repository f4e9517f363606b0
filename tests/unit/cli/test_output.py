"""Tables: they fit a screen of 120 columns, and nothing of a name or a UID is cut off."""

import pytest

from dicomroute_cli.output import Format, print_table

SENTENCE = "the archive answered 403: the credential is known and may not store: give it the right to write"
UID = "1.2.826.0.1.3680043.8.498." + "1" * 38


def lines(capsys: pytest.CaptureFixture[str], *arguments: object, **named: object) -> list[str]:
    print_table(*arguments, **named)  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def test_a_long_sentence_goes_on_in_the_next_line(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, ["step", "uid", "what it says"], [["store", UID, SENTENCE], ["tcp", "-", "open"]])
    assert len(UID) == 64
    assert max(map(len, printed)) <= 120
    assert printed[0].split() == ["STEP", "UID", "WHAT", "IT", "SAYS"]
    assert printed[1].startswith(f"store  {UID}  ")
    column = printed[1].index("the archive")
    told = " ".join(line[column:].strip() for line in printed[1:-1])
    assert told == SENTENCE
    assert [line[:column].strip() for line in printed[2:-1]] == [""] * (len(printed) - 3)
    assert printed[-1].split() == ["tcp", "-", "open"]


def test_the_wide_form_has_every_column_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    table = (["instance", "uid", "why"], [[1, UID, SENTENCE]])
    narrow = lines(capsys, *table, wide=("uid",))
    assert narrow[0].split() == ["INSTANCE", "WHY"]
    assert UID not in "".join(narrow)
    wide = lines(capsys, *table, Format.WIDE, wide=("uid",))
    assert wide[1] == f"1         {UID}  {SENTENCE}"


def test_what_has_no_words_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, ["study", "series"], [[UID, UID]])
    assert printed[1] == f"{UID}  {UID}", "whoever copies it needs all of it"


def test_wide_characters_take_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, ["name", "id"], [["\u5c71\u7530", "1"], ["Muller", "2"]])
    assert printed == ["NAME    ID", "\u5c71\u7530    1", "Muller  2"]


def test_text_of_a_stranger_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, ["title"], [["A\nB\x1b[1m"]]) == ["TITLE", "A\\nB\\x1b[1m"]


def test_no_rows_are_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, ["a", "b"], []) == ["A  B"]
