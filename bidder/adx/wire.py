"""The seller's request as each bidder gets it: its own tmax, the deals that are its own, everything else as it came.

A JSON request goes on with every field the seller sent, known here or not: only the members that change are replaced.
Between JSON and protobuf the known fields are carried over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bidder.openrtb import JSON, PROTOBUF, BidRequest, compress, encode_request
from protos import openrtb_pb2

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_values: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class Outgoing:
    """One request on its way to bidders; what several of them get alike is made once.

    Args: body: as received, decompressed; content_type: JSON or PROTOBUF, of ``body``.
    """

    def __init__(self, request: BidRequest, body: bytes, content_type: str) -> None:
        self._request = request
        self._body = body
        self._content_type = content_type
        self._made: dict[tuple[str, int, frozenset[str], bool], bytes] = {}
        self._private = frozenset(
            deal.id for imp in request.imp if imp.pmp is not None for deal in imp.pmp.deals if deal.wseat
        )

    def encode(self, content_type: str, tmax_ms: int, seats: tuple[str, ...], gzip: bool) -> bytes:
        """The body for one bidder. Raises: RequestInvalid: a value has no place in protobuf."""
        hidden = self._hidden(seats)
        key = (content_type, tmax_ms, hidden, gzip)
        made = self._made.get(key)
        if made is None:
            if content_type == self._content_type == JSON:
                made = self._patch_json(tmax_ms, hidden)
            elif content_type == self._content_type == PROTOBUF:
                made = self._patch_proto(tmax_ms, hidden)
            else:
                made = encode_request(self._changed(tmax_ms, hidden), content_type)
            if gzip:
                made = compress(made)
            self._made[key] = made
        return made

    def _hidden(self, seats: tuple[str, ...]) -> frozenset[str]:
        """Deals reserved for seats that are not this bidder's: it does not learn of them."""
        if not self._private or not seats:
            return frozenset()
        return frozenset(
            deal.id
            for imp in self._request.imp
            if imp.pmp is not None
            for deal in imp.pmp.deals
            if deal.wseat and not set(deal.wseat).intersection(seats)
        )

    def _patch_json(self, tmax_ms: int, hidden: frozenset[str]) -> bytes:
        members = _members(self._body)
        members["tmax"] = msgspec.Raw(b"%d" % tmax_ms)
        if hidden:
            imps = _values(members["imp"])
            for imp in imps if isinstance(imps, list) else [imps]:
                _drop_deals(imp, hidden)
            members["imp"] = msgspec.Raw(_encode(imps))
        return _encode(members)

    def _patch_proto(self, tmax_ms: int, hidden: frozenset[str]) -> bytes:
        message = openrtb_pb2.BidRequest.FromString(self._body)
        message.tmax = tmax_ms
        for imp in message.imp if hidden else ():
            kept = [deal for deal in imp.pmp.deals if deal.id not in hidden]
            del imp.pmp.deals[:]
            imp.pmp.deals.extend(kept)
        return message.SerializeToString()

    def _changed(self, tmax_ms: int, hidden: frozenset[str]) -> BidRequest:
        imps = self._request.imp
        if hidden:
            imps = tuple(
                imp
                if imp.pmp is None
                else msgspec.structs.replace(
                    imp,
                    pmp=msgspec.structs.replace(imp.pmp, deals=tuple(d for d in imp.pmp.deals if d.id not in hidden)),
                )
                for imp in imps
            )
        return msgspec.structs.replace(self._request, tmax=tmax_ms, imp=imps)


def _drop_deals(imp: Any, hidden: frozenset[str]) -> None:
    pmp = imp.get("pmp")
    if isinstance(pmp, dict) and isinstance(pmp.get("deals"), list):
        pmp["deals"] = [d for d in pmp["deals"] if not (isinstance(d, dict) and str(d.get("id")) in hidden)]
