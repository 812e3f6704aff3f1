"""One observation through one stage: fetch its inputs, call the stage's verb, stage the result.

What belongs here: what happens to *one* frame between the object store and a run row, with
every error caught and typed. These functions run in worker processes. What does not:
science (the stages' own rooms) and the night as a whole (the orchestration).
"""
