"""The recipe of the embedded encoder: from public skills and requests for them to its weights.

Programs, to be run in this order: `training.pairs`, `training.negatives`, `training.train`,
`training.export` and `training.evaluate`. No part of the distribution; needs the `train` extra.
"""
