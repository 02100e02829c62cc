"""The one online codec: keys and rows to bytes and back, and which of two rows stays.

`layout` says what a view's rows look like, `types` how a value of a type becomes bytes, `keys` how an entity does,
`records` how a row does, and `merging` which of two rows of a key is kept.
"""
