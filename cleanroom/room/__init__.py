"""The room: the neutral party. Thin: service, config, wiring."""
