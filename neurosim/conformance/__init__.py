"""The conformance suite: cases, constructs and random networks that a backend is run on."""
