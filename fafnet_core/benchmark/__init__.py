"""How long networks and the stages of a frame take: times in turn, one process a row."""
