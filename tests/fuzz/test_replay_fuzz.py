"""Any bytes are a log, a histogram, or the error that says why not."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.replay import read_histogram, read_plain
from bidder.replay.errors import HistogramInvalid, LogInvalid
from bidder.replay.log import read_impressions

cells = st.sampled_from(
    [b"0", b"1", b"300", b"-1", b"1e9", b"nan", b"0.5", b"\xff", b"\t", b"1_0", b"20131021192300738"]
)
lines = st.lists(st.lists(cells, max_size=26).map(b"\t".join), max_size=6).map(b"\n".join)


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), lines))
def test_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    for read, refused in ((read_plain, LogInvalid), (read_histogram, HistogramInvalid)):
        with suppress(refused):  # any other exception fails the test
            assert read(path) is not None
    with suppress(LogInvalid):
        assert all(row.price >= 0 for row in read_impressions(path))
