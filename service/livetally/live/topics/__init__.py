"""What can be watched, all of them a `Topic`.

base       what all share
counters   grow-only counters, merged by maximum, and what their topics share
totals     a type's counts
counts     one subject's, of several types
log        what is read from the log, by positions in it
feed       every event of a type
pointers   who points where on a page, now
items      keyed values, the latest
admin      the largest totals of all projects
"""
