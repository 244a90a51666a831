"""A network's size, as a dataclass and as the `config.json` of its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, get_origin, get_type_hints


@dataclass(frozen=True)
class NetworkConfig:
    """Base of the frozen dataclasses that say how large a network is.

    >>> @dataclass(frozen=True)
    ... class Size(NetworkConfig):
    ...     widths: tuple[int, ...] = (8, 16)
    ...     hidden: int = 4
    >>> Size(hidden=2).to_dict()
    {'widths': [8, 16], 'hidden': 2}
    >>> Size.from_dict({"widths": [3, 5]})
    Size(widths=(3, 5), hidden=4)
    """

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, which has lists for tuples."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; what is missing keeps its default.

        Raises:
            TypeError: there is a field that this network does not have.
        """
        hints = get_type_hints(cls)
        return cls(
            **{
                name: tuple(value) if get_origin(hints.get(name)) is tuple else value
                for name, value in values.items()
            }
        )
