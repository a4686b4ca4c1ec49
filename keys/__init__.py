"""Keys: key types, keystore, HPKE, signing, TLS identities. No key files."""
