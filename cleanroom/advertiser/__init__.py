"""The advertiser: a brand or its agency. A client; it keeps nothing but its own files."""
