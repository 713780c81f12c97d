"""Networks in files, as descriptions: no file holds code, and none is believed before it has been checked.

A file is one JSON document at the level of the language (populations, cells with their equations as text, projections
with their rules, …) and the arrays that it refers to by number::

    /network    u1 [bytes]: the document, UTF-8
    /arrays/0   f8, i8 or u4, one or two axes, neither chunked nor packed; /arrays/1, …

It is sealed and written whole or not at all, as all files of neurosim are. `describe` makes the document of a network,
`build` the network of a document, through the constructors that a user calls; `table` lists what a component is made
of, one row a field, and `values` how a value is written. Reading: :mod:`neurosim.saving.nodes`.
"""

from neurosim.saving.file import load as load
from neurosim.saving.file import save as save
