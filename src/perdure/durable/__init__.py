"""What makes work survive crashes and rivals: leases held while it is done, and jobs whose steps are recorded.

`workflow` is how work is written down, `engine` drives it, `steps` says what a step guarantees; `lease`
and `fencing` keep a worker that lost its turn from changing anything, `schedules` fire once a period.
"""
