"""The rooms joined into one process: `gateway` composes them and ends them in order, and owns nothing of its own.

`following` has the configuration in force, `watching` what is mounted beside it, `listeners` the open ports. Nothing
else imports all rooms, and no room imports this one.
"""
