"""What others know of the places where something changed: Gaia DR3, VSX and SkyBoT.

Optional: nothing here opens a connection unless a survey's configuration names catalogues.
"""
