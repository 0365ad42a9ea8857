"""``python -m runfmt`` is the ``runfmt`` command."""

from runfmt._script import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
