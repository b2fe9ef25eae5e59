"""The flight recorder's files: how they are written, chained and signed, and how any is read.

Machine and cockpit both record, and neither imports the other; ``protocol`` touches no disk. So
what both need of a log stands here, below both.
"""
