"""What was computed and may be wanted again: the things used last, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Name = TypeVar("Name")
Thing = TypeVar("Thing")


class Kept(Generic[Name, Thing]):
    """Things by name; the one used longest ago is forgotten first. Threads may share it.

    The last thing kept stays, however large it is.
    """

    def __init__(self, most_bytes: int, size: Callable[[Thing], int]) -> None:
        """Keep up to `most_bytes` of things, each as large as `size` says."""
        self._most_bytes, self._size = most_bytes, size
        self._things: OrderedDict[Name, Thing] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._things)

    def get(self, name: Name) -> Thing | None:
        """Return the thing of that name, if it is still here."""
        with self._lock:
            if name in self._things:
                self._things.move_to_end(name)
            return self._things.get(name)

    def keep(self, name: Name, thing: Thing) -> None:
        """Keep a thing, in place of an older one of its name."""
        with self._lock:
            if name in self._things:
                self._bytes -= self._size(self._things.pop(name))
            self._things[name] = thing
            self._bytes += self._size(thing)
            while self._bytes > self._most_bytes and len(self._things) > 1:
                _, dropped = self._things.popitem(last=False)
                self._bytes -= self._size(dropped)
