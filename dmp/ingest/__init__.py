"""Ingest: files and queries to clean columns, with rejects and a quality report."""

from dmp.ingest._errors import IngestInvalid
from dmp.ingest.mapping import Column, Ingested, Mapping, ingest, load_mapping, merge
from dmp.ingest.quality import Quality, quality, stability

__all__ = [
    "Column",
    "IngestInvalid",
    "Ingested",
    "Mapping",
    "Quality",
    "ingest",
    "load_mapping",
    "merge",
    "quality",
    "stability",
]
