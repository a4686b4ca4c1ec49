"""The wire: schemas, the code generated from them, the error root, and the gRPC edge (channels, servers, mTLS)."""
