"""Run a list of programs and stop them in good order.

One thread does all of it, a loop over the children's pipes and our signals, so
there is nothing to join and nobody to race with.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TypeVar

from ascwebhooks.embedded.beside import Beside
from ascwebhooks.embedded.children import Child, why
from ascwebhooks.embedded.output import Log, Terminal
from ascwebhooks.embedded.processes import Program
from ascwebhooks.errors import Unavailable

T = TypeVar("T")

_POLL_S = 0.05
_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """We were told to stop."""


class Supervisor:
    """Starts programs, restarts what ends by itself, stops all at the end.

    ::

        with Supervisor(terminal, home / "log") as supervisor:
            supervisor.start(program)
            supervisor.run()

    A first Ctrl-C, SIGTERM or SIGHUP stops everything in reverse order; a
    second one kills it.  It is used from the main thread only.

    Args:
        terminal: Where messages go.
        log_dir: Where each program's whole output goes, as ``<name>.log``.
    """

    def __init__(self, terminal: Terminal, log_dir: Path) -> None:
        self._terminal = terminal
        self._log_dir = log_dir
        self._children: list[Child] = []
        self._asked = 0
        self._stopping = False

    def __enter__(self) -> Self:
        self._selector = selectors.DefaultSelector()
        self._wakes, self._woken = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._handlers = {
            number: signal.signal(number, handler)
            for number, handler in self._wanted_handlers().items()
        }
        self._former_wakeup = signal.set_wakeup_fd(
            self._wakes.fileno(), warn_on_full_buffer=False
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._close()

    def say(self, text: str) -> None:
        """Show a message on the terminal."""
        self._terminal.say(text)

    def start(self, program: Program) -> None:
        """Start a program; from now on it is restarted when it ends by itself.

        Raises:
            Interrupted: If we were told to stop.
            RuntimeError: If another thread than the main one calls: the kernel
                ties a child to the thread that made it.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("programs are started by the main thread")
        self._check_interrupted()
        log = Log(
            self._log_dir / f"{program.name}.log",
            lambda line: self._terminal.child(program.name, line),
        )
        child = Child(program, log)
        self._children.append(child)
        self._spawn(child)

    def pid(self, name: str) -> int | None:
        """Return the process of a program, or None while it has none."""
        return self._named(name).pid

    def run(self) -> None:
        """Supervise until told to stop; then stop everything and return."""
        while not self._asked:
            self._turn(None)
        self.stop()

    def pause(self, seconds: float) -> None:
        """Supervise for a while.

        Raises:
            Interrupted: If we were told to stop meanwhile.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check_interrupted()
            self._turn(left)
        self._check_interrupted()

    def run_beside(self, task: Callable[[], T]) -> T:
        """Supervise while ``task`` runs in a thread; return what it returns.

        The task must not start programs, and must give up by itself in the end:
        a thread cannot be stopped.

        Raises:
            Interrupted: If we were told to stop meanwhile.
            BaseException: Whatever the task raises.
        """
        beside = Beside(task)
        beside.start()
        while beside.is_alive():
            self.pause(_POLL_S)
        return beside.result()

    def wait_ready(
        self, name: str, ready: Callable[[], bool], timeout_s: float
    ) -> None:
        """Supervise until ``ready`` says so.

        Args:
            name: The program that is to become ready.
            ready: Asked again and again; should answer within a second or two.
            timeout_s: How long it may take.

        Raises:
            Interrupted: If we were told to stop meanwhile.
            Unavailable: If the program ended, or the time is up.
        """
        child = self._named(name)
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.pause(_POLL_S)
            if child.pid is None:
                raise Unavailable(f"{name} did not start:\n{child.last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{name} was not ready after {timeout_s:g} s:\n{child.last_words()}"
                )

    def stop(self) -> None:
        """Stop everything, the last started first; return when all are gone."""
        if not self._stopping and self._asked:
            self.say("stopping; press Ctrl-C again to kill at once")
        self._stopping = True
        for child in self._children:
            child.due_at = None
        for group in self._groups():
            for child in group:
                child.ask_to_stop()
            self._await_end(group)

    def _groups(self) -> Iterator[list[Child]]:
        """Yield what stops together, the last started first."""
        group: list[Child] = []
        for child in reversed(self._children):
            if group and not _together(child.program, group[-1].program):
                yield group
                group = []
            group.append(child)
        if group:
            yield group

    def _await_end(self, children: list[Child]) -> None:
        asked_at = time.monotonic()
        told: set[str] = set()
        while running := [child for child in children if child.pid is not None]:
            waited_s = time.monotonic() - asked_at
            for child in running:
                if self._asked > 1 or waited_s > child.program.stop_timeout_s:
                    self._kill(child, told)
            self._turn(_POLL_S)

    def _kill(self, child: Child, told: set[str]) -> None:
        if child.name not in told:
            told.add(child.name)
            self.say(f"{child.name} has not stopped; killing it")
        child.kill()

    def _turn(self, timeout_s: float | None) -> None:
        """Wait for something to happen, at most ``timeout_s``, and handle it."""
        for key, _ in self._selector.select(self._next_s(timeout_s)):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            elif not key.data.read():
                self._selector.unregister(key.fileobj)
        for child in self._children:
            if child.has_ended():
                self._reap(child)
            elif child.due_at is not None and child.due_at <= time.monotonic():
                self._spawn(child)

    def _next_s(self, timeout_s: float | None) -> float | None:
        due = [each.due_at for each in self._children if each.due_at is not None]
        waits = [max(0.0, each - time.monotonic()) for each in due]
        return min(waits + ([] if timeout_s is None else [timeout_s]), default=None)

    def _spawn(self, child: Child) -> None:
        output = child.start()
        self._selector.register(output, selectors.EVENT_READ, child)
        self.say(f"{child.name} started (process {child.pid})")

    def _reap(self, child: Child) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(child.output or -1)
        status = child.reap()
        if self._stopping:
            self.say(f"{child.name} stopped")
        elif not child.program.restart:
            self.say(f"{child.name} ended ({why(status)})")
        else:
            self.say(
                f"{child.name} ended unexpectedly ({why(status)}); starting it "
                f"again in {child.plan_restart():g} s. It last said:\n"
                f"{child.last_words()}"
            )

    def _named(self, name: str) -> Child:
        return next(child for child in self._children if child.name == name)

    def _check_interrupted(self) -> None:
        if self._asked:
            raise Interrupted

    def _wanted_handlers(self) -> dict[signal.Signals, _Handler]:
        handlers: dict[signal.Signals, _Handler] = {signal.SIGCHLD: _nothing}
        for number in _TO_STOP:
            # What nohup switched off stays off.
            if signal.getsignal(number) != signal.SIG_IGN:
                handlers[number] = self._signalled
        return handlers

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1

    def _close(self) -> None:
        signal.set_wakeup_fd(self._former_wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for child in self._children:
            child.log.close()
        self._selector.close()
        self._wakes.close()
        self._woken.close()


_Handler = Callable[[int, FrameType | None], None]


def _nothing(number: int, frame: FrameType | None) -> None:
    """Handle SIGCHLD: its arrival has woken the loop already."""


def _together(one: Program, other: Program) -> bool:
    return one.group is not None and one.group == other.group
