"""How commands end: with exit code 0, or with one sentence on stderr and a code that scripts can tell apart.

Failure             1   a service said no, or something broke
├── BadSetting      2   wrong arguments or settings; click's own code for that
└── Unreachable     3   nobody answers: is it running?
"""

from typing import IO, Any

import click


class Failure(click.ClickException):
    """Ends the command; ``message`` says what is wrong, ``advice`` the way out where that is not said with it."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

    def format_message(self) -> str:
        """Return the sentence."""
        return f"{self.message}; {self.advice}" if self.advice else self.message

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence."""
        click.echo(f"whimbrel: {self.format_message()}", file=file, err=True)


class BadSetting(Failure):
    """What was asked for cannot be meant."""

    exit_code = 2


class Unreachable(Failure):
    """Nobody answers."""

    exit_code = 3
