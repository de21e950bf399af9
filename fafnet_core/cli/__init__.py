"""The command `fafnet <verb>`: one file a verb."""
