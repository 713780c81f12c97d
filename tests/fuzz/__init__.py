"""Hostile input by the hundred thousand: texts that are nearly equations, files that are nearly files.

An input is made from a number, the same one on every machine, by a target (``fuzz.texts``, ``fuzz.files``). A process
of its own (``fuzz.worker``) makes it, hands it to neurosim, and says what came of it; another (``fuzz.pool``) watches
that it comes back. Either the input is accepted, or it is refused by an error of neurosim's own. All else is a finding:
another exception, a process that dies or does not come back, memory without bounds, code that runs, and any file that
is opened or written where the input does not lie.

``python tests/fuzz --help`` lists the targets, ``python tests/fuzz equations --seconds 60`` tries one, ``python
tests/fuzz equations --number 4711`` shows an input and what comes of it. ``scripts/evidence fuzz`` spends an hour.
"""
