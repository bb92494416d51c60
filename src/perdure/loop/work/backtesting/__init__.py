"""Backtests of models: history replayed through policies, before anyone trusts one with autonomy.

`history` is what is replayed: labelled rows, and when each was known. `fits` makes candidates, each once,
whichever policies ask for it. A `line` is what one policy puts in charge and what that answered; `observed`
judges the error objectives of it, `trials` a candidate against it. The policies are in `yardsticks` and
`declared`, and `replay` runs them all.
"""
