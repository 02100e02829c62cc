"""The one online codec: keys and rows to bytes and back, and which of two rows stays.

`layout` says what a view's rows look like, `types` how a type is written down, `keys` how an entity becomes bytes,
`records` how a row does, `order` which of two rows is the greater, and `merging` which of them is kept.
"""
