"""Lists come in: uploaded in chunks, opened into the collaboration's vault, and a line in the log says so.

Each step is durable and can be done again: sealed file, table, registry row, log line. A kill between any two is made
good by asking for the commit again; an analysis sees a list only once its line is in the log.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any, Final

import duckdb

from cleanroom.contract import Role
from cleanroom.contract.log import EventLog
from cleanroom.dataset import Expectation, SealedFile, Upload, UploadStore, receive, session
from cleanroom.dataset.header import TOKEN_PREFIX
from cleanroom.release import repeated_ids
from cleanroom.room._collaborations import Collaborations, Opened
from cleanroom.room._consent import declared
from cleanroom.room._registry import Registry, UploadRow
from cleanroom.room._vaults import Vaults
from cleanroom.room.errors import ListRepeatsIds, NotAMember
from keys.signing import VerifyKey

LISTS_PER_LINE: Final = 128  # half of what one line of the log may name
KIND_OF: dict[Role, str] = {Role.ADVERTISER: "seeds", Role.PROVIDER: "population"}


class Datasets:
    """See the module's docstring."""

    def __init__(
        self,
        uploads: UploadStore,
        registry: Registry,
        vaults: Vaults,
        collaborations: Collaborations,
        log: EventLog,
        room: str,
    ) -> None:
        self._uploads = uploads
        self._registry = registry
        self._vaults = vaults
        self._collaborations = collaborations
        self._log = log
        self._room = room
        self._one = threading.Lock()  # a commit asked for twice is done once

    def begin(
        self,
        party: str,
        collaboration: str,
        preamble: bytes,
        chunks: int,
        root: bytes,
        signature: bytes,
        consent: bytes,
    ) -> Upload:
        """Begin ``party``'s upload, or find where it stopped."""
        opened = self._collaborations.opened(collaboration, party)
        role = _role(opened, party)
        declared(opened.contract, party, role, consent, root, self._collaborations.clock())
        upload = self._uploads.begin(
            preamble,
            chunks,
            root,
            signature,
            sender=VerifyKey(opened.contract.member(party).sign),
            expect=self._expectation(opened, party, role),
        )
        if not upload.committed:
            self._registry.put_pending(upload.upload_id, collaboration, party, consent)
        return upload

    def put(self, party: str, upload: str, index: int, chunk: bytes) -> Upload:
        """Store one chunk of ``party``'s upload."""
        self._own(party, upload)
        return self._uploads.put(upload, index, chunk)

    def commit(self, party: str, upload: str) -> tuple[Upload, UploadRow]:
        """Open a complete upload into the vault and log it; the same answer when asked again."""
        collaboration, consent = self._own(party, upload)
        opened = self._collaborations.opened(collaboration, party)
        role = _role(opened, party)
        with self._one:
            row = self._registry.upload(upload)
            if row is None:
                row = self._ingest(opened, party, role, upload, consent)
            if row.logged < 0:
                row = self._log_upload(opened, row)
        return self._uploads.status(upload), row

    def delete(self, collaboration: str, reason: str) -> int:
        """Delete every list of a closed collaboration and log it; how many. Again is nothing."""
        rows = self._registry.uploads_of(collaboration)
        for row in rows:
            self._uploads.discard(row.upload)
        for start in range(0, len(rows), LISTS_PER_LINE):
            self._log_deletion(collaboration, rows[start : start + LISTS_PER_LINE], reason)
        return len(rows)

    def _log_deletion(self, collaboration: str, rows: list[UploadRow], reason: str) -> None:
        roots = [row.root for row in rows]
        receipt = hashlib.sha256("\n".join(roots).encode()).hexdigest()
        body = {
            "deletion": receipt[:32],
            "reason": reason,
            "answers": [row.upload for row in rows],
            "datasets": roots,
            "objects": len(rows),
            "receipt": receipt,
        }
        if self._log.find(["deletion.batch"], collaboration, {"receipt": receipt}) is None:
            self._log.record("deletion.batch", collaboration, body)
        for row in rows:
            self._registry.upload_deleted(row.upload)

    def table(self, collaboration: str, upload: str) -> Path:
        """Where a list's table is in its vault."""
        return self._vaults.vault(collaboration).root / f"list-{upload}.parquet"

    def _own(self, party: str, upload: str) -> tuple[str, bytes]:
        found = self._registry.pending(upload)
        if found is None or found[1] != party:
            raise NotAMember("no upload of this id was begun by this party")
        return found[0], found[2]

    def _expectation(self, opened: Opened, party: str, role: Role) -> Expectation:
        kind = "seeds" if role is Role.ADVERTISER else "population"
        return Expectation(opened.contract.hash, opened.epoch, party, self._room, kind)  # type: ignore[arg-type]

    def _ingest(self, opened: Opened, party: str, role: Role, upload: str, consent: bytes) -> UploadRow:
        path = self._uploads.commit(upload)
        collaboration = opened.id
        rows_min = opened.contract.thresholds.seeds_min if role is Role.ADVERTISER else 1
        with path.open("rb") as source, session() as con:
            received = receive(
                source,
                self._vaults.recipient(collaboration),
                VerifyKey(opened.contract.member(party).sign),
                self._expectation(opened, party, role),
                self.table(collaboration, upload),
                tables=self._vaults.vault(collaboration),
                con=con,
                rows_min=rows_min,
            )
            chunks = SealedFile.read(source).trailer.chunks
            if role is Role.ADVERTISER:
                self._refuse_repeats(con, collaboration, upload)
        row = UploadRow(
            upload, collaboration, party, role.value, opened.epoch, received.root.hex(), received.header.rows,
            chunks, consent, -1,
        )  # fmt: skip
        self._registry.put_upload(row)
        return row

    def _refuse_repeats(self, con: duckdb.DuckDBPyConnection, collaboration: str, upload: str) -> None:
        """Raise ListRepeatsIds, and drop the table, where an id stands in several rows (release.guard says why)."""
        path = self.table(collaboration, upload)
        dataset = self._vaults.vault(collaboration).dataset(path)
        con.register("own_rows", dataset)
        repeats = repeated_ids(con, "own_rows", [n for n in dataset.schema.names if n.startswith(TOKEN_PREFIX)])
        con.unregister("own_rows")
        if repeats:
            path.unlink()
            raise ListRepeatsIds(f"{repeats} ids stand in more than one row; seal the list anew, each id once")

    def _consent(self, opened: Opened, row: UploadRow) -> dict[str, Any]:
        root = bytes.fromhex(row.root)
        now_ms = self._collaborations.clock()
        return declared(opened.contract, row.party, Role(row.role), row.consent, root, now_ms)

    def _log_upload(self, opened: Opened, row: UploadRow) -> UploadRow:
        found = self._log.find(["upload.committed"], opened.id, {"upload": row.upload})
        if found is None:
            body = {
                "upload": row.upload,
                "party": row.party,
                "role": row.role,
                "contract": opened.contract.hash.hex(),
                "epoch": row.epoch,
                "dataset": row.root,
                "rows_bucket": row.rows,
                "chunks": row.chunks,
                **self._consent(opened, row),
            }
            found = self._log.record("upload.committed", opened.id, body)
        self._registry.upload_logged(row.upload, found.index)
        return self._registry.upload(row.upload) or row


def _role(opened: Opened, party: str) -> Role:
    """The role in which ``party`` sends rows. Raises: NotAMember: it sends none."""
    for role in KIND_OF:
        if party in opened.contract.parties(role):
            return role
    raise NotAMember("only advertisers and providers of a collaboration send lists")
