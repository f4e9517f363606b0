"""What the benchmark makes of its figures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import report
from budgets import budgets


def test_a_ratio_has_an_interval_that_narrows_with_the_rounds() -> None:
    assert report.interval([2.0]) == pytest.approx((2.0, 2.0, 2.0))
    mean, lowest, highest = report.interval([1.8, 2.0, 2.2])
    assert mean == pytest.approx(1.993, abs=0.001)
    assert (lowest, highest) == (pytest.approx(1.557, abs=0.01), pytest.approx(2.551, abs=0.01))
    _, narrower, lower = report.interval([1.8, 2.0, 2.2] * 4)
    assert lowest < narrower < lower < highest


def test_the_processor_time_of_an_instance_is_held_against_the_floors() -> None:
    def found(own: float) -> tuple[str, str]:
        pairs = (("dicomroute", own), ("floor", 0.8))
        runs = [
            {"round": number, "scenario": "many-512k", "system": system, "server_cpu_ms": value}
            for number in (1, 2, 3)
            for system, value in pairs
        ]
        (row,) = budgets({"runs": runs})
        return row.measured, row.verdict

    assert found(2.2) == ("2.75", "missed")
    assert found(1.8) == ("2.25", "met")
    assert found(1.6) == ("2.00", "reached")
