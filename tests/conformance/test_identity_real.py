"""Real identifiers of an exchange: every one is taken, as it is, and the distinct ones are as many as published."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from cleanroom.identity import Encoding, IdKind, normalise

LOG = Path(__file__).parents[3] / "shared" / "data" / "ipinyou" / "raw" / "imp.20131021.adv2821.limit1000.txt"
USER_COLUMN = 3
IMPRESSIONS = 10_000
USERS = 8_861


@pytest.mark.skipif(not LOG.exists(), reason="the real data is not beside the project")
def test_exchange_ids_of_a_real_log() -> None:
    with LOG.open(encoding="utf-8") as lines:
        ids = [line.split("\t")[USER_COLUMN] for line in lines]
    out = normalise(pa.array(ids), IdKind.EXCHANGE_UID, Encoding.RAW, Encoding.RAW)
    assert (len(out.values), out.rejects.num_rows) == (IMPRESSIONS, 0)
    assert len(out.values.unique()) == USERS
    assert out.values[0].as_py() == b"exchange_uid|raw|" + ids[0].encode()
