"""One description of the node's state, and the rules that say what is wrong with it."""
