"""Command lines in docker's manner: flags, commands, help, as values and pure functions."""
