"""The process entry. In a wheel the rooms live in `_app` beside this file, and only this puts them on the path."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - says so instead of failing on syntax further in
    sys.exit("Switchboard needs Python 3.11 or newer; this is " + sys.version.split()[0])


def main():  # type: ignore[no-untyped-def]  # must parse on old Pythons, to get to the message above
    """Run the command line."""
    from pathlib import Path

    here = Path(__file__).resolve().parent
    rooms = here / "_app"
    sys.path.insert(0, str(rooms if rooms.is_dir() else here.parent))
    from switchboard.cli import run

    run()


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]
