"""The reference server of ``spec/remote.md``: a directory of runs, behind HTTP."""

__all__: list[str] = []
