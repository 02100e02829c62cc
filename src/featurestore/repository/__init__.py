"""All declarations as one value: their names, the graph among them, and the identity of their code.

Nothing here reads or writes data. The source files of the user's project are read, to tell one state of the code from
another; nothing of it is evaluated.
"""
