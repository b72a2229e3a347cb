"""What changed inside the tables of two versions: their columns, types and distributions.

``pairs`` says which table stands against which, ``sources`` opens both in DuckDB, ``schema``
compares their columns, ``numbers`` and ``values`` the distributions, ``levels`` judges them;
``service`` is the use case. Everything is counted over all rows by DuckDB, which reads in pieces
and spills to disk; only the Kolmogorov-Smirnov distance of large tables is taken from a sample.
"""
