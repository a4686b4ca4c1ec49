"""A CatBoost model and its export agree, in kernel and NumPy; bad models and odd values are refused or bounded."""

from __future__ import annotations

from pathlib import Path

import catboost
import msgspec
import numpy as np
import pytest

from bidder.dsp import scoring
from bidder.dsp._errors import ModelInvalid
from bidder.dsp.crc import crc32c, crc32c_table
from bidder.dsp.scoring import Column, fields_of, from_catboost, predict_numpy

OS = ("android", "ios", "harmony")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[catboost.CatBoostClassifier, scoring.Model, np.ndarray]:
    rng = np.random.default_rng(5)
    hour = rng.integers(0, 24, 3_000)
    os = rng.integers(0, 3, 3_000)
    campaign = rng.integers(0, 40, 3_000)
    rates = rng.random(40).astype(np.float32)
    table = {f"c{i}": float(rates[i]) for i in range(40)}
    columns = (
        Column(field="hour", kind="number"),
        *(Column(field="os", kind="onehot", value=name) for name in OS[:2]),
        Column(field="campaign", kind="target", table=table, prior=0.5),
    )
    features = np.stack([hour, os == 0, os == 1, rates[campaign]], axis=1).astype(np.float32)
    clicked = rng.random(3_000) < 1 / (1 + np.exp(2 - 0.1 * hour - (os == 1) - 2 * rates[campaign]))
    model = catboost.CatBoostClassifier(
        iterations=300, depth=6, random_seed=1, verbose=False, thread_count=1, allow_writing_files=False
    )
    model.fit(features, clicked)
    exported = from_catboost(model, columns, 3, tmp_path_factory.mktemp("model"))
    rows = np.stack([hour, os, campaign], axis=1)
    return model, exported, np.concatenate([features, rows], axis=1)


def bins_of(model: scoring.Model, rows: np.ndarray) -> np.ndarray:
    fields = fields_of(model, shared=True) + fields_of(model, shared=False)
    assert [f.name for f in fields] == ["hour", "os", "campaign"]
    made = [
        b"".join((fields[0].bins(int(h)), fields[1].bins(OS[int(o)]), fields[2].bins(f"c{int(c)}"))) for h, o, c in rows
    ]
    return np.frombuffer(b"".join(made), np.uint8).reshape(len(made), -1)


def test_the_export_equals_catboost_within_a_millionth(
    trained: tuple[catboost.CatBoostClassifier, scoring.Model, np.ndarray],
) -> None:
    model, exported, data = trained
    bins = bins_of(exported, data[:, 4:])
    theirs = model.predict(data[:, :4], prediction_type="RawFormulaVal")
    assert np.abs(predict_numpy(exported, bins) - theirs).max() < 1e-6
    assert np.ptp(theirs) > 0.5


def test_the_kernel_equals_its_twin_bit_for_bit(
    trained: tuple[catboost.CatBoostClassifier, scoring.Model, np.ndarray],
) -> None:
    kernel = pytest.importorskip("bidder.dsp._score", reason="the C kernel was not built")
    _, exported, data = trained
    bins = bins_of(exported, data[:1_001, 4:])
    loaded = kernel.model_load(
        exported.trees, exported.depth, len(exported.columns), exported.shared, exported.scale, exported.bias,
        exported.feature, exported.threshold, exported.leaf,
    )  # fmt: skip
    ours = np.frombuffer(kernel.predict(loaded, bins.tobytes()), np.float64)
    assert np.array_equal(ours, predict_numpy(exported, bins))


def test_a_model_survives_its_file_and_a_broken_one_is_refused(
    trained: tuple[catboost.CatBoostClassifier, scoring.Model, np.ndarray], tmp_path: Path
) -> None:
    _, exported, _ = trained
    path = tmp_path / "ctr.model"
    scoring.save(exported, path)
    assert scoring.load(path) == exported
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelInvalid):
            scoring.load(path)
    path.write_bytes(msgspec.msgpack.encode(msgspec.to_builtins(exported) | {"depth": 9}))
    with pytest.raises(ModelInvalid):
        scoring.load(path)


def test_an_unknown_value_has_the_prior_and_no_flag(
    trained: tuple[catboost.CatBoostClassifier, scoring.Model, np.ndarray],
) -> None:
    _, exported, _ = trained
    os, campaign = fields_of(exported, shared=True)[1], fields_of(exported, shared=False)[0]
    assert os.bins("symbian") == os.bins("harmony")
    assert os.bins("android") != os.bins("symbian")
    near_half = min((abs(rate - 0.5), name) for name, rate in exported.columns[3].table.items())[1]
    assert abs(campaign.bins("never seen")[0] - campaign.bins(near_half)[0]) <= 12


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_crc32c_gives_the_published_values(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc32c_table(data) == crc
