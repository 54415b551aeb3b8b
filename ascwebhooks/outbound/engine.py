"""libcurl's multi interface under epoll: many transfers in one thread.

``multi.select`` fails past file descriptor 1023 and looks at every transfer;
with epoll an idle transfer costs nothing.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

import pycurl

from ascwebhooks.outbound.transfers import Transfer

#: How often a connection may report something during one transfer.  64 KiB of
#: body and of headers take a few hundred; chunk extensions that never end pass
#: every limit of libcurl and would eat a core until the deadline.
MAX_EVENTS_PER_TRANSFER = 1500

_MASKS = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_ACTIONS = {
    select.EPOLLIN: pycurl.CSELECT_IN,
    select.EPOLLOUT: pycurl.CSELECT_OUT,
    select.EPOLLIN | select.EPOLLOUT: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}
#: With an error or a hang-up: let libcurl read and find out.
_ANY = pycurl.CSELECT_IN | pycurl.CSELECT_OUT | pycurl.CSELECT_ERR

#: A transfer, libcurl's result code (0: whole) and its words.
Completion = tuple[Transfer, int, str | None]


class Engine:
    """Run transfers; all methods but ``wake`` belong to one thread.

    Args:
        max_transfers: How many will be out at once at most; connections that
            are kept alive count on top of it.
    """

    def __init__(self, max_transfers: int) -> None:
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._transfers: dict[pycurl.Curl, Transfer] = {}
        #: File descriptors that libcurl watches: events since it began to.
        self._events: dict[int, int] = {}
        #: Those it watches no more.  They stay registered, for nothing but a hang-up:
        #: taking out and putting in again cost a tenth of a request.
        self._asleep: set[int] = set()
        self._timer_due: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        # It counts the busy ones too: below twice their number keep-alive vanishes.
        self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * max_transfers + 64)

    def wake(self) -> None:
        """End ``turn``'s waiting; from any thread."""
        os.eventfd_write(self._bell, 1)

    def add(self, transfer: Transfer) -> None:
        """Start ``transfer``, whose handle was loaded by ``begin``."""
        self._transfers[transfer.curl] = transfer
        try:
            self._multi.add_handle(transfer.curl)
        except BaseException:
            del self._transfers[transfer.curl]
            raise

    def running(self) -> list[Transfer]:
        """Return the transfers that are out."""
        return list(self._transfers.values())

    def remove(self, transfer: Transfer) -> None:
        """Take ``transfer`` out, finished or not; its connection is then closed."""
        if self._transfers.pop(transfer.curl, None) is not None:
            self._multi.remove_handle(transfer.curl)

    def turn(self, timeout_s: float) -> list[Completion]:
        """Wait for something to happen, let libcurl act, return what finished.

        Args:
            timeout_s: How long to wait at most; negative: until woken.
        """
        endless = self._act(self._epoll.poll(self._wait_s(timeout_s), 512))
        self._run_timer()
        finished = self._finished()
        if endless:
            finished += self._break_off(endless)
        return finished

    def flush(self) -> list[Completion]:
        """Let libcurl begin what was added, return what finished at once."""
        if not self._run_timer():
            return []
        return self._finished()

    def close(self) -> None:
        """Close everything; what is still out is aborted."""
        for transfer in self.running():
            self.remove(transfer)
        self._multi.close()
        self._epoll.close()
        os.close(self._bell)

    def _wait_s(self, timeout_s: float) -> float:
        if self._timer_due is None:
            return timeout_s
        left = max(0.0, self._timer_due - time.monotonic())
        return left if timeout_s < 0 else min(left, timeout_s)

    def _act(self, events: list[tuple[int, int]]) -> list[int]:
        """Tell libcurl of each event; return the descriptors that had too many."""
        socket_action = self._multi.socket_action
        counts = self._events
        endless: list[int] = []
        for fd, happened in events:
            if fd == self._bell:
                os.eventfd_read(fd)
                continue
            if fd not in counts:
                # Or an event before it in this batch ended the transfer.
                self._hung_up(fd)
                continue
            counts[fd] += 1
            if counts[fd] > MAX_EVENTS_PER_TRANSFER:
                endless.append(fd)
                continue
            socket_action(fd, _ACTIONS.get(happened, _ANY))
        return endless

    def _run_timer(self) -> bool:
        due = self._timer_due
        if due is None or due > time.monotonic():
            return False
        # libcurl sets the next one while it acts.
        self._timer_due = None
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return True

    def _finished(self) -> list[Completion]:
        finished: list[Completion] = []
        left = 1
        while left:
            left, whole, failed = self._multi.info_read(1000)
            finished += [(self._take(curl), 0, None) for curl in whole]
            finished += [(self._take(curl), code, why) for curl, code, why in failed]
        return finished

    def _take(self, curl: pycurl.Curl) -> Transfer:
        self._multi.remove_handle(curl)
        return self._transfers.pop(curl)

    def _break_off(self, endless: list[int]) -> list[Completion]:
        """Stop the transfers on these descriptors; their connections close."""
        broken: list[Completion] = []
        for transfer in self.running():
            if transfer.curl.getinfo(pycurl.ACTIVESOCKET) in endless:
                transfer.endless = True
                self.remove(transfer)
                broken.append((transfer, pycurl.E_RECV_ERROR, None))
        return broken

    def _on_socket(self, what: int, fd: int, multi: object, data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            if self._events.pop(fd, None) is not None:
                self._epoll.modify(fd, 0)
                self._asleep.add(fd)
        elif fd in self._events:
            self._epoll.modify(fd, _MASKS[what])
        else:
            self._events[fd] = 0
            self._watch(fd, _MASKS[what])

    def _watch(self, fd: int, mask: int) -> None:
        if fd in self._asleep:
            self._asleep.discard(fd)
            try:
                self._epoll.modify(fd, mask)
                return
            except FileNotFoundError:
                """It was closed meanwhile, and this is another of the same number."""
        self._epoll.register(fd, mask)

    def _hung_up(self, fd: int) -> None:
        """Forget a connection that is kept alive and whose other end is gone."""
        if fd in self._asleep:
            self._asleep.discard(fd)
            with suppress(OSError):
                self._epoll.unregister(fd)

    def _on_timer(self, timeout_ms: int) -> None:
        if timeout_ms < 0:
            self._timer_due = None
        else:
            self._timer_due = time.monotonic() + timeout_ms / 1000
