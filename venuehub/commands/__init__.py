"""One module per noun of the command line. Each imports its program inside the function that runs it."""
