"""A rule as a tree. Nodes are numbers or truths, and each knows which."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A number written in the rule, or given by the grid."""

    value: float


@dataclass(frozen=True)
class Parameter:
    """`{name}` where a number stands."""

    name: str
    position: int


@dataclass(frozen=True)
class Column:
    """A column's name; it may hold `{name}`s."""

    name: str
    position: int


@dataclass(frozen=True)
class Chain:
    """Numbers joined from left to right by operators of one strength: + and -, or * / and %."""

    first: "Node"
    rest: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True)
class Negative:
    """Minus a number."""

    of: "Node"


@dataclass(frozen=True)
class Call:
    """ABS, GREATEST or LEAST of numbers."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Compare:
    """A truth: two numbers compared."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class Between:
    """A truth: low <= of <= high, or not."""

    of: "Node"
    low: "Node"
    high: "Node"
    negated: bool


@dataclass(frozen=True)
class IsNull:
    """A truth that is never unknown: whether a column's value is missing, or not."""

    column: "Node"
    negated: bool


@dataclass(frozen=True)
class Not:
    """A truth turned round."""

    of: "Node"


@dataclass(frozen=True)
class Logic:
    """Truths joined by AND, or by OR."""

    operator: str
    of: tuple["Node", ...]


Node = Number | Parameter | Column | Chain | Negative | Call | Compare | Between | IsNull | Not | Logic


def is_truth(node: Node) -> bool:
    """Return whether a node is true or false, and not a number."""
    return isinstance(node, Compare | Between | IsNull | Not | Logic)


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly under `node`, from left to right."""
    match node:
        case Chain(first, rest):
            return (first, *(operand for _, operand in rest))
        case Negative(of) | Not(of):
            return (of,)
        case Call(_, arguments):
            return arguments
        case Compare(_, left, right):
            return (left, right)
        case Between(of, low, high, _):
            return (of, low, high)
        case IsNull(column, _):
            return (column,)
        case Logic(_, nodes):
            return nodes
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and all nodes under it."""
    yield node
    for child in children(node):
        yield from walk(child)
