"""Alerts go out: what happened in runs is told to targets, of each once.

A *target* is a URL of Apprise with a name. A *notice* is one thing to be told: an alert, an end, a crash.
The *outbox* holds what is to be sent to whom, and what was. A *sender* is a process that sends it to
one target: what it is at outlives the sync that found it.
"""

__all__: list[str] = []
