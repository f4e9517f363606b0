"""What the unit tests share."""

import hypothesis

# The same examples in each run: what fails on one machine fails on all of them.
hypothesis.settings.register_profile("same", hypothesis.settings.get_profile("here"), derandomize=True)
hypothesis.settings.load_profile("same")
