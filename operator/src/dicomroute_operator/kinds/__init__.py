"""The kinds that people write, one file each: what kubectl shows of one, which routes it concerns, how its status is
made. `listed` has them all, `objects` holds what people wrote of them; `crd` and `generate` make files of them. Pure,
but for `generate`.
"""
