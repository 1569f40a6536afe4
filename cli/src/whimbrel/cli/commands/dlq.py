"""`whimbrel dlq`: events that could not be delivered."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from whimbrel.cli.exits import BadSetting, Failure
from whimbrel.cli.invocation import invocation
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask, tell
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import DeadLetter, DeadLettersReply, ReplayReply

PAGE = 100  # letters per request where all that match are wanted


@dataclass(frozen=True)
class Sought:
    """Which dead letters are meant."""

    code: str | None
    subject: str | None

    def behind(self, after: int, limit: int) -> dict[str, Any]:
        """Return the parameters of a request, named as the options of `dlq list`."""
        return {"after": after, "limit": limit} | {
            name: value for name, value in (("code", self.code), ("subject", self.subject)) if value is not None
        }


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option("--subject", help="Of these subjects: events.shop.> or events.*.order.*.")(command)
    return click.option("--code", help="Put aside for this reason: unroutable, not_json, …")(command)


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    command = click.argument("numbers", nargs=-1, type=click.IntRange(1), metavar="[NUMBER]...")(command)
    return _filtered(click.option("--all", "every", is_flag=True, help="All there are.")(command))


@click.group("dlq")
def command() -> None:
    """Show events that could not be delivered, and why.

    Publish them again, or drop them.

    \b
    whimbrel dlq list --code unroutable
    whimbrel dlq show 17
    whimbrel dlq replay 17 18                 # the cause is mended: once more
    whimbrel dlq replay --subject 'events.shop.>'
    whimbrel dlq drop --code not_json
    """


@command.command("list")
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Only those behind this number.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most so many.")
@_filtered
@talks_to("router", "service_key")
def list_(after: int, limit: int, code: str | None, subject: str | None, target: Target, output: Output) -> None:
    """List dead letters, oldest first."""
    letters: list[DeadLetter] = []
    sought, at, complete = Sought(code, subject), after, False
    while len(letters) < limit and not complete:
        reply = ask(target, "router", "GET", "/dlq", DeadLettersReply, params=sought.behind(at, limit - len(letters)))
        letters += reply.letters
        at, complete = reply.after, reply.complete
    if output.as_json:
        for letter in letters:
            output.say("", letter.model_dump())
        return
    if not letters:
        output.say("no dead letters" + (f" behind {after}" if after else ""))
        return
    output.table(
        ("NUMBER", "TIME", "SUBJECT", "CODE", "REASON"),
        [(each.sequence, each.time[:19], each.subject, each.code, each.reason) for each in letters],
    )
    if not complete:
        options = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in sought.behind(at, limit).items())
        output.say(output.dim(f"more: {invocation(f'dlq list {options}', target.store)}"))


@command.command("show")
@click.argument("number", type=click.IntRange(1))
@talks_to("router", "service_key")
def show(number: int, target: Target, output: Output) -> None:
    """Show one dead letter whole: why, the headers, the payload."""
    letter = ask(target, "router", "GET", f"/dlq/{number}", DeadLetter)
    told = [
        f"{output.loud(letter.subject)}  (event {letter.event_sequence}, put aside {letter.time[:19]})",
        f"{output.bad(letter.code)}: {letter.reason}",
        *(f"  {name}: {value}" for name, value in letter.headers.items()),
        letter.data or output.dim("(no payload here: it is large, and still among the events)"),
    ]
    output.say("\n".join(told), letter.model_dump())


@command.command("replay")
@_chosen
@talks_to("router", "service_key")
def replay(
    numbers: tuple[int, ...], every: bool, code: str | None, subject: str | None, target: Target, output: Output
) -> None:
    """Publish events again, as they came.

    What still cannot be delivered comes back under a new number. Repeating it publishes nothing twice.
    """

    def again(number: int) -> None:
        reply = ask(target, "router", "POST", f"/dlq/{number}/replay", ReplayReply)
        how = "had been published again before, as" if reply.repeated else "is published again as"
        output.say(f"{number} {how} event {reply.event_sequence}", {"number": number, **reply.model_dump()})

    _each(_sought(numbers, every, code, subject), numbers, target, output, again)


@command.command("drop")
@_chosen
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks_to("router", "service_key")
def drop(
    numbers: tuple[int, ...],
    every: bool,
    code: str | None,
    subject: str | None,
    yes: bool,
    target: Target,
    output: Output,
) -> None:
    """Remove dead letters for good."""
    sought = _sought(numbers, every, code, subject)
    if sought is not None and not yes and (count := len(_matching(sought, target))):
        letters = "1 dead letter" if count == 1 else f"{count} dead letters"
        click.confirm(f"drop {letters} for good?", abort=True, err=True)

    def gone(number: int) -> None:
        tell(target, "router", "DELETE", f"/dlq/{number}")
        output.say(f"{number} is dropped", {"number": number, "dropped": True})

    _each(sought, numbers, target, output, gone)


def _sought(numbers: tuple[int, ...], every: bool, code: str | None, subject: str | None) -> Sought | None:
    """Return the filter, None where numbers are given. Raises BadSetting."""
    filtered = every or code is not None or subject is not None
    if bool(numbers) == filtered:
        raise BadSetting("say which: numbers, or --code and --subject, or --all")
    return Sought(code, subject) if filtered else None


def _matching(sought: Sought, target: Target) -> list[int]:
    """Return the numbers of the letters that are there now; what comes meanwhile is left alone."""
    found: list[int] = []
    after, complete = 0, False
    while not complete:
        reply = ask(target, "router", "GET", "/dlq", DeadLettersReply, params=sought.behind(after, PAGE))
        found += (letter.sequence for letter in reply.letters)
        after, complete = reply.after, reply.complete
    return found


def _each(
    sought: Sought | None, numbers: tuple[int, ...], target: Target, output: Output, act: Callable[[int], None]
) -> None:
    """Do it with each, in order of number so that an entity's events keep theirs; go on past what is refused."""
    chosen = sorted(numbers) if sought is None else _matching(sought, target)
    if not chosen:
        output.say("no dead letters match")
    refused = 0
    for number in chosen:
        try:
            act(number)
        except Failure as failure:
            if failure.exit_code != Failure.exit_code:
                raise
            refused += 1
            output.say(output.bad(f"{number}: {failure.format_message()}"), {"number": number, "error": str(failure)})
    if refused:
        raise Failure(f"{refused} of {len(chosen)} could not be done")
