"""Pure statistics for delivery: no input, no output, no clock; numpy and scipy only.

One method a file. Each states its definition, source, assumptions and guarantee, and shows an
example that is run as a test.

Is the candidate hurting users? Looked at after every tick, from counts by arm:

- ``harm``: the e-process that rolls back; ``tick_ratio``: how much one tick speaks for harm
- ``noharm``: the e-process that lets promote
- ``tails``: latency as events, who is above the pooled quantile
- ``gate``: several metrics, one verdict
- ``dispersion``: how far from independent the events are, and the tempering
- ``split``: what the units that the candidate gets cause by themselves
- ``count_ratio``: do two arms see events at the same rate?

Which variant is better? The effect of two arms:

- ``summary``: what is kept of each arm; ``cuped``: less noise by what was known before
- ``exact_moments``: the same of a stream, without rounding; ``log_bins``: its histogram
- ``effect``: the difference; ``ratio_metric``, ``quantile_effect``: other values of an arm
- ``fixed_horizon``, ``proportions``, ``rank_sum``: one look at a time fixed beforehand
- ``sequential_effect``: any number of looks; ``group_sequential``: a planned number
- ``comparison``: what a test says; ``multiple``: several tests at once
- ``power``, ``sample_size``: what a test would see, and how many units it needs
- ``sample_ratio``: did the arms get the units they were meant to?

Intervals that stay valid while one keeps looking:

- ``asymptotic``: a mean; ``empirical_bernstein``, ``betting``: a mean of bounded values
- ``bernoulli``: a share of yes and no
- ``quantile_interval``, ``quantile_ab``: a quantile, and two arms' quantiles
- boundaries under them: ``normal_mixture``, ``beta_binomial``, ``gamma_exponential``,
  ``gamma_poisson``, ``mixture_bound``, ``stitching``, ``quantile_process``,
  ``quantile_stitching``

How far did a distribution move: ``population_stability``, ``kolmogorov_smirnov``.

How good is a model: ``auc``. Shared by several: ``logsum``, sums of numbers kept as logarithms.
"""
