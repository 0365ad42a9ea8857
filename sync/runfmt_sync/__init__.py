"""The sync tool of runfmt: brings runs anywhere, proves it, and looks at them.

``inventory`` (what is here) × ``have`` (what the remote says it has) → ``plan``
(pure) → ``push`` (a dull parallel loop) → ``receipts``. One rule applies an
extent everywhere: ``store``.
"""
