"""The command line: run Whimbrel on a laptop, mint tokens, publish, listen, look."""
