"""What decides about an output: code by its meaning, contents of inputs, recipes, lineages, and the records of them."""
