"""The intermediate representation: programs over a closed list of operations, and the graph that holds them."""
