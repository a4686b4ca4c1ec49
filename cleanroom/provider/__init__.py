"""The provider: the operator whose network the identities never leave. Thin: service, config, wiring."""
