"""`python -m bot` and `threadlore`: the same command."""

from __future__ import annotations


def main() -> None:
    from bot.cli import app

    app(prog_name="threadlore")


if __name__ == "__main__":
    main()
