"""Pure statistics for delivery: no input, no output, no clock; numpy and scipy only.

One method a file. Each states its definition, source, assumptions and guarantee, and shows an
example that is run as a test.

=================  ===============================================================
module             answers
=================  ===============================================================
``tick_ratio``     how much does one tick speak for a higher odds ratio?
``harm``           is the candidate hurting users? May be looked at after every tick
``noharm``         is it proven not to be worse than a margin?
``tails``          latency as events: who is above the pooled quantile?
``gate``           several metrics, one verdict
``dispersion``     how far from independent are the events?
``logsum``         sums of numbers kept as logarithms
``auc``            the area under the ROC curve and its interval
=================  ===============================================================
"""
