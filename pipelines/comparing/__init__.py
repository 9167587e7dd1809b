"""Methods side by side: the clips of a table, each edited by each method, measured and compared."""
