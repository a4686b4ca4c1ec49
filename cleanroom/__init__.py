"""The data clean room: private matching, contract and release gate, transparency log, the three parties."""
