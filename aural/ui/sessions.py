"""The sessions that Gradio keeps of pages and calls, shared out among visitors.

Gradio ends the least recently used session when there are too many: hundreds of cheap calls of one visitor
would end everybody's. Here the visitor who has the most loses the one that is needed least.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gradio.blocks import Blocks
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder

OF_CALLS = ""  # owns the sessions of calls that name none: each is used once


class Sessions(StateHolder):
    """Gradio's holder of sessions with another choice of the one that goes."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(blocks)
        self._owners: dict[str, str] = {}  # session -> address
        self._alive: Counter[str] = Counter()  # sessions whose page or client holds a connection

    def own(self, session: str, address: str) -> None:
        """Remember whose session it is, before it is used; the first to name it owns it."""
        if session:
            self._owners.setdefault(session, address)
            if len(self._owners) > 4 * self.capacity:
                kept = {*self.session_data, *self._alive, session}
                self._owners = {name: owner for name, owner in self._owners.items() if name in kept}

    @contextmanager
    def alive(self, session: str) -> Iterator[None]:
        """While a page or client holds its connection, its session goes last."""
        self._alive[session] += 1
        try:
            yield
        finally:
            self._alive[session] -= 1
            if not self._alive[session]:
                del self._alive[session]

    def __getitem__(self, session_id: str) -> SessionState:
        """The session, made where there is none."""
        with self.lock:
            if session_id not in self.session_data:
                self.session_data[session_id] = SessionState(self.blocks)
            state = self.session_data[session_id]
            self.session_data.move_to_end(session_id)
            self.time_last_used[session_id] = datetime.datetime.now()
            while len(self.session_data) > self.capacity:
                self._forget(self._least_needed(session_id))
        return state

    def update(self, session_id: str) -> None:
        """Mark a session as used."""
        if session_id in self.session_data:
            self[session_id]

    def _least_needed(self, newest: str) -> str:
        """Of the visitor who has the most: the oldest that nobody holds a connection to, else the oldest."""
        held = Counter(self._owners.get(name, OF_CALLS) for name in self.session_data)
        calls = held.pop(OF_CALLS, 0)
        of_newest = newest not in self._owners
        most = OF_CALLS if calls > of_newest or not held else max(held, key=lambda owner: held[owner])
        theirs = [
            name
            for name in self.session_data  # oldest first
            if self._owners.get(name, OF_CALLS) == most and name != newest
        ]
        idle = [name for name in theirs if name not in self._alive]
        return (idle or theirs or [next(iter(self.session_data))])[0]

    def _forget(self, session: str) -> None:
        self.session_data.pop(session, None)
        self.time_last_used.pop(session, None)
        self._owners.pop(session, None)


def sessions_of(app: App) -> Sessions:
    """The sessions of a running app."""
    if not isinstance(app.state_holder, Sessions):
        app.state_holder = Sessions(app.get_blocks())
    return app.state_holder
