"""Whatever bytes arrive, the parsers of keys accept them or raise an error of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys import shares
from keys.certificates import load
from keys.errors import KeysError
from keys.hpke import RecipientKey, RecipientPublic
from keys.identity import PartyPublic
from keys.keystore import Keystore, ScryptCost
from keys.mldsa import MlDsaSigningKey, MlDsaVerifyKey
from keys.price import GooglePriceKeys, PriceKey, google_issued_us
from keys.revocation import RevocationList
from keys.signing import SigningKey, VerifyKey

SOME = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SIGNER = SigningKey.generate(os.urandom)
MLDSA = MlDsaSigningKey.generate(os.urandom)
X25519 = RecipientKey.generate("x25519")
HYBRID = RecipientKey.generate("mlkem768-x25519")
PUBLIC = PartyPublic("room", SIGNER.public.raw, X25519.public.to_bytes())
SHARES = shares.split(b"secret", 2, os.urandom)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _seal(raw: bytes) -> bytes:
    return RecipientPublic.from_bytes(raw).seal(b"x", b"")


# name -> (parser, a good input to disturb)
PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "verify key": (VerifyKey, SIGNER.public.raw),
    "signature": (lambda raw: SIGNER.public.verify("d", b"m", raw), SIGNER.sign("d", b"m")),
    "ml-dsa key": (lambda raw: MlDsaVerifyKey(raw).verify("d", b"m", b"x"), MLDSA.public.raw),
    "ml-dsa signature": (lambda raw: MLDSA.public.verify("d", b"m", raw), MLDSA.sign("d", b"m")),
    "x25519 recipient": (_seal, X25519.public.to_bytes()),
    "hybrid recipient": (_seal, HYBRID.public.to_bytes()),
    "x25519 sealed": (lambda raw: X25519.open(raw, b""), X25519.public.seal(b"m", b"")),
    "hybrid sealed": (lambda raw: HYBRID.open(raw, b""), HYBRID.public.seal(b"m", b"")),
    "private key": (RecipientKey.from_bytes, X25519.to_bytes()),
    "party.json": (PartyPublic.parse, PUBLIC.to_json()),
    "share": (lambda raw: shares.combine([shares.Share.parse(_text(raw)), SHARES[1]]), SHARES[0].to_text().encode()),
    "revocations": (lambda raw: RevocationList.parse(raw, SIGNER.public), b"{}"),
    "certificate": (load, b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
    "google price": (lambda raw: GooglePriceKeys(b"e", b"i").decrypt(_text(raw)), b"A" * 38),
    "google time": (lambda raw: google_issued_us(_text(raw)), b"A" * 38),
    "our price": (lambda raw: PriceKey(bytes(32)).decrypt(_text(raw), b""), b"A" * 48),
}


@pytest.mark.parametrize("name", list(PARSERS))
@SOME
@given(data=st.data())
def test_parsers_accept_or_raise_ours(name: str, data: st.DataObject) -> None:
    parse, good = PARSERS[name]
    raw = bytearray(data.draw(st.one_of(st.just(good), st.binary(max_size=80))))
    for _ in range(data.draw(st.integers(0, 3))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    try:
        parse(bytes(raw[: len(raw) - cut]))
    except KeysError as error:
        code = error.code
    else:
        code = "accepted"
    assert code != KeysError.code  # the root says nothing


@SOME
@given(st.one_of(st.binary(max_size=60), st.dictionaries(st.text(max_size=6), st.integers()).map(msgspec.json.encode)))
def test_keystore_header(tmp_path: Path, raw: bytes) -> None:
    folder = tmp_path / "ks"
    if not folder.exists():
        Keystore.open(folder, b"p", create=True, cost=ScryptCost(log_n=4, r=1, p=1))
    (folder / "keystore.json").write_bytes(raw)
    with pytest.raises(KeysError):
        Keystore.open(folder, b"p")


@SOME
@given(name=st.text(max_size=30), secret=st.binary(max_size=40))
def test_any_name_is_stored_under_itself_or_refused(tmp_path: Path, name: str, secret: bytes) -> None:
    folder = tmp_path / "ks"
    store = Keystore.open(folder, b"p", create=not folder.exists(), cost=ScryptCost(log_n=4, r=1, p=1))
    before = set(store.names())
    try:
        store.put(name, "raw", secret)
    except KeysError:
        assert set(store.names()) == before
        return
    assert store.get(name, "raw") == secret
    assert set(store.names()) == before | {name}
    assert {p.name for p in tmp_path.iterdir()} == {"ks"}
