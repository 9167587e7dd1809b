"""Many clips by one workflow: a table, a contract by which each row is done once, three engines."""
