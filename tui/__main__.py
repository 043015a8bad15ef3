"""`python -m tui` and the `ckptriage` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the explorer is one of its commands."""
    from tui.cli.main import run

    run()


if __name__ == "__main__":
    main()
