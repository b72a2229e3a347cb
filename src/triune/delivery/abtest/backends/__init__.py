"""Where a test's running sums are kept, and where they are computed anew."""
