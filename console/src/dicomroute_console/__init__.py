"""The console: pages that say where every study is and what became of it, and let people decide, with their own rights.

`sources` knows where resources, rights and gateways are found; `signin` who asks; `pages` what is shown; `web` how.
"""

__version__ = "0.1.0"
