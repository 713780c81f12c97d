"""What ``neurosim new`` writes: whole networks to begin with, one a file, each of which runs as it stands.

The first line of a template's docstring says what it is. Its name in the text is ``my_network``, which becomes the
user's. Nothing imports a template: they are read as text, and import what a user's script imports.
"""
