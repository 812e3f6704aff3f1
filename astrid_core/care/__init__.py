"""Whether everything is in its place: what rows name, what is stored, what contradicts what.

What belongs here: looking at a database and a store, and removing what nothing names. What
does not: services, processes and people's commands (``astrid_stack.care``).
"""
