"""Sealed lists, their durable upload, and the room's tables encrypted at rest."""

from __future__ import annotations

from cleanroom.dataset._errors import DatasetError
from cleanroom.dataset._extra import Decoy, Planted
from cleanroom.dataset.header import Column, Expectation, ListHeader
from cleanroom.dataset.prepare import Prepared, bucket, prepare_rows
from cleanroom.dataset.receive import Received, receive
from cleanroom.dataset.sealed import SealedFile, SealedInfo, open_sealed, seal
from cleanroom.dataset.tables import PLAIN, AtRestKey, PlainTables, Tables, Vault, session
from cleanroom.dataset.uploads import Upload, UploadStore

__all__ = [
    "PLAIN",
    "AtRestKey",
    "Column",
    "DatasetError",
    "Decoy",
    "Expectation",
    "ListHeader",
    "PlainTables",
    "Planted",
    "Prepared",
    "Received",
    "SealedFile",
    "SealedInfo",
    "Tables",
    "Upload",
    "UploadStore",
    "Vault",
    "bucket",
    "open_sealed",
    "prepare_rows",
    "receive",
    "seal",
    "session",
]
