"""Side-by-side measurements, one module per benchmark: `edge`, `storm`, `listeners`. Started by `./scripts/bench NAME`.

Nothing here is a test and nothing here is imported by the product. Every figure comes from real processes on loopback, all
sides in one run and in turns, so that what disturbs the machine disturbs all of them.
"""
