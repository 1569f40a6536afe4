"""The client without an event loop of the application's own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from tests.client.conftest import QUICK
from tests.client.fake_edge import FakeEdge
from whimbrel.client import (
    BlockingClient,
    ChannelRefused,
    Client,
    ClientError,
    Closed,
    Misuse,
    PositionLost,
    Reset,
    State,
)


class Neighbour:
    """The fake edge in a loop of its own, which a program without one needs it to have."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.edge = FakeEdge()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def does(self, call: Callable[[FakeEdge], Any]) -> Any:
        """Run ``call`` where the edge lives."""

        async def called() -> Any:
            result = call(self.edge)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(20)


def publish(neighbour: Neighbour, data: Any) -> None:
    neighbour.does(lambda edge: edge.publish("orders:42", data))


def lose(neighbour: Neighbour, data: Any) -> None:
    """Let a publication be forgotten while the client is away."""

    def happens(edge: FakeEdge) -> None:
        edge.stream("orders:42").append("e", data)
        edge.stream("orders:42").forget()
        edge.drop()

    neighbour.does(happens)


def names_of_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    one = Neighbour()
    one.thread.start()
    one.does(lambda edge: edge.listen())
    yield one
    one.does(lambda edge: edge.stop())
    one.loop.call_soon_threadsafe(one.loop.stop)
    one.thread.join()
    one.loop.close()


@pytest.fixture
def client(neighbour: Neighbour) -> Iterator[BlockingClient]:
    with BlockingClient(Client(neighbour.edge.url, token=lambda: "alice's", timing=QUICK, jitter=lambda: 0.0)) as one:
        yield one


def test_a_program_without_an_event_loop_follows_a_channel(neighbour: Neighbour, client: BlockingClient) -> None:
    client.connected(timeout=20)
    assert (client.state, client.user) == (State.CONNECTED, "alice")
    with client.subscribe("orders:42") as orders:
        for number in (1, 2):
            publish(neighbour, number)
        assert [next(orders).data, next(orders).data] == [1, 2]
        assert orders.position is not None
        assert client.publish("orders:42", "e", 3) == orders.next(timeout=20).offset
        assert [each.data for each in client.history("orders:42").publications] == [1, 2, 3]
        assert orders.ack() == orders.position.offset


def test_waiting_ends_in_time_and_takes_nothing_away(neighbour: Neighbour, client: BlockingClient) -> None:
    with client.subscribe("orders:42") as orders:
        with pytest.raises(TimeoutError):
            orders.next(timeout=0.01)
        publish(neighbour, 1)
        assert orders.next(timeout=20).data == 1


def test_another_thread_may_ask_while_one_waits_for_a_publication(neighbour: Neighbour, client: BlockingClient) -> None:
    with client.subscribe("orders:42") as orders:
        got: list[Any] = []
        reader = threading.Thread(target=lambda: got.append(next(orders).data))
        reader.start()
        client.publish("orders:42", "e", "from another thread")
        reader.join(20)
        assert got == ["from another thread"]


def test_errors_are_those_of_the_asynchronous_client(neighbour: Neighbour, client: BlockingClient) -> None:
    with pytest.raises(ChannelRefused), client.subscribe("secret:1"):
        pass
    with client.subscribe("orders:42") as orders:
        publish(neighbour, 1)
        assert next(orders).data == 1
        lose(neighbour, 2)
        with pytest.raises(PositionLost):
            next(orders)
        lose(neighbour, 3)
        assert isinstance(next(orders.events()), Reset)


def test_a_loop_over_a_channel_ends_with_the_client(neighbour: Neighbour, client: BlockingClient) -> None:
    with client.subscribe("orders:42") as orders:
        publish(neighbour, 1)
        got = []
        for publication in orders:
            got.append(publication.data)
            client.close()
        assert got == [1]
    with pytest.raises(Misuse, match="closed"):
        client.publish("orders:42", "e", 1)
    assert "whimbrel-client" not in names_of_threads()


def test_states_and_all_that_is_granted_are_told_without_a_loop_too(
    neighbour: Neighbour, client: BlockingClient
) -> None:
    client.connected(timeout=20)
    states: list[State] = []
    changes = client.states()
    watcher = threading.Thread(target=lambda: states.extend(change.state for change in changes))
    watcher.start()
    with client.granted() as granted:
        neighbour.does(lambda edge: edge.publish("inbox", "a letter"))
        assert granted.next(timeout=20).data == "a letter"
        [position] = [granted.positions["inbox"]]
        assert position is not None
        assert client.ack("inbox", position.offset) == position.offset
    client.refresh()
    client.close()
    watcher.join(20)
    assert states == [State.CLOSED]


def test_who_asks_while_another_thread_closes_has_an_answer(client: BlockingClient) -> None:
    answers: list[type[Exception]] = []
    closing = threading.Event()

    def ask() -> None:
        try:
            while True:
                client.history("orders:42")
                closing.set()
        except ClientError as error:
            answers.append(type(error))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    assert closing.wait(20)
    client.close()
    client.close()
    for asker in askers:
        asker.join(20)
    assert len(answers) == 4
    assert all(issubclass(each, Closed | Misuse) for each in answers)


def test_who_waits_in_another_thread_is_let_go_when_the_client_closes(client: BlockingClient) -> None:
    ended = threading.Event()

    def read() -> None:
        assert list(orders) == []
        ended.set()

    with client.subscribe("orders:42") as orders:
        threading.Thread(target=read).start()
        client.close()
        assert ended.wait(20)


def test_a_blocking_client_is_entered_once(client: BlockingClient) -> None:
    with pytest.raises(Misuse, match="make a new one"), client:
        pass
    client.connected(timeout=20)
    client.close()
    with pytest.raises(Misuse, match="make a new one"), client:
        pass
    assert "whimbrel-client" not in names_of_threads()


def test_a_client_that_was_used_already_leaves_no_thread_behind(neighbour: Neighbour) -> None:
    used = Client(neighbour.edge.url, token=lambda: "alice's", timing=QUICK)
    with BlockingClient(used):
        pass
    with pytest.raises(Misuse, match="make a new one"), BlockingClient(used):
        pass
    assert "whimbrel-client" not in names_of_threads()


def test_a_client_that_fails_to_close_leaves_neither_thread_nor_anybody_waiting(
    client: BlockingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def read() -> None:
        try:
            next(orders)
        except CancelledError:
            ended.set()

    async def fail(_: Client) -> None:
        raise OSError("the socket is gone")

    with client.subscribe("orders:42") as orders:
        monkeypatch.setattr(Client, "close", fail)
        threading.Thread(target=read).start()
        with pytest.raises(OSError, match="the socket is gone"):
            client.close()
        assert ended.wait(20)
    assert "whimbrel-client" not in names_of_threads()
