"""Turns: one long step in each round of the loop, and what arrives is read in between."""

import asyncio
import itertools
import socket

from evolve.engine.concurrency import FairYield


def test_sockets_are_read_between_two_turns() -> None:
    happened: list[str] = []

    async def step(
        turns: FairYield, name: str, sender: socket.socket | None = None
    ) -> None:
        await turns.turn()
        happened.append(name)
        if sender is not None:
            sender.send(b"x")

    async def both() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(
            ours, lambda: happened.append(ours.recv(1).decode())
        )
        turns = FairYield()
        await asyncio.gather(
            step(turns, "a", theirs), *(step(turns, name) for name in "bcde")
        )
        asyncio.get_running_loop().remove_reader(ours)
        ours.close()
        theirs.close()

    asyncio.run(both())
    assert [name for name in happened if name != "x"] == list("abcde")
    assert happened.index("x") <= 2, happened


def test_a_task_that_was_cancelled_does_not_hold_the_others_up() -> None:
    async def go() -> list[int]:
        turns, done = FairYield(), list[int]()

        async def step(number: int) -> None:
            await turns.turn()
            done.append(number)

        tasks = [asyncio.create_task(step(number)) for number in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(step(4), 1.0)
        return done

    done = asyncio.run(go())
    assert done == [0, 2, 3, 4]
    assert all(earlier < later for earlier, later in itertools.pairwise(done))
