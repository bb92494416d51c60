"""Where documents come from: folders, git repositories, SQL queries, Delta tables, web hooks, iterators."""
