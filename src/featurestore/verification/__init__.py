"""Values computed in every way there is, held against the slow reference; and one value with all that it is made of."""
