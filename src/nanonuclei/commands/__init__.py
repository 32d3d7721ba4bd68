"""What each command takes and does with its options: check them, import the stage, call it.

Settings are resolved before the slow imports, so that a wrong one is told at once.
"""

from nanonuclei.commands import answering, data, pipeline, records, releasing, searching, training

KINDS = (data, training, searching, answering, releasing, pipeline, records)
"""Modules of commands, in the order of the help; each has `add_to`."""
