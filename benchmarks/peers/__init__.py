"""One worker module per engine; each runs one network once, in its own process, and prints one line of JSON."""
