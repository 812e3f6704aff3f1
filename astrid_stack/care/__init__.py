"""Care of an installation: audit, backup and restore, removal of what nothing needs, diagnosis.

What belongs here: the commands, and what concerns services, processes and files. What does
not: looking at rows and objects (``astrid_core.care``).
"""
