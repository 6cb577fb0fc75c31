import pytest
from performance.units import format_size, format_time


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (3e-10, "0.3 ns")],
)
def test_time(seconds: float | None, shown: str) -> None:
    assert format_time(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2_340_000_000, "2.34 GB")],
)
def test_size(size: int | None, shown: str) -> None:
    assert format_size(size) == shown
