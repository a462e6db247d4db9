"""From a rule's text to its tree: a small grammar, and nothing outside it.

    rule       = and { OR and }            and     = not { AND not }        not = NOT not | predicate
    predicate  = sum [ comparison sum | [NOT] BETWEEN sum AND sum | IS [NOT] NULL ]
    sum        = product { (+|-) product } product = sign { (*|/|%) sign }  sign = - sign | primary
    primary    = number | {parameter} | column | function ( sum {, sum} ) | ( rule )

Every operation works on one bar, so a rule cannot look ahead. What SQL has beyond this (aggregates, windows, queries)
is not in the grammar, and is refused.
"""

from collections.abc import Callable

from tickloom.rules.errors import RuleNotAllowed, RuleTooLarge
from tickloom.rules.tokens import Token, tokenize
from tickloom.rules.tree import (
    Between,
    Call,
    Chain,
    Column,
    Compare,
    IsNull,
    Logic,
    Negative,
    Node,
    Not,
    Number,
    Parameter,
    is_truth,
    walk,
)

MAX_LENGTH, MAX_DEPTH, MAX_NODES = 2000, 32, 500
COMPARISONS = ("<", "<=", ">", ">=", "=", "<>", "!=")
FUNCTIONS = {"ABS": (1, 1), "GREATEST": (2, 16), "LEAST": (2, 16)}
"""Function -> fewest and most arguments."""

_AGGREGATES = frozenset(
    {
        "AVG", "MEAN", "SUM", "MIN", "MAX", "COUNT", "STDDEV", "STDEV", "STD", "VARIANCE", "VAR", "MEDIAN", "FIRST",
        "LAST", "CORR", "COVAR", "QUANTILE", "MODE"
    }
)  # fmt: skip
_SHIFTS = frozenset(
    {
        "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE", "SHIFT", "ROW_NUMBER", "RANK", "DENSE_RANK",
        "NTILE"
    }
)  # fmt: skip
_FOREIGN = frozenset(
    {
        "SELECT", "FROM", "WHERE", "OVER", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST", "IN", "LIKE", "ILIKE",
        "EXISTS", "ANY", "ALL", "UNION", "WITH", "JOIN", "GROUP", "ORDER", "LIMIT", "DISTINCT", "INTERVAL", "TRUE",
        "FALSE", "XOR", "DIV", "COLLATE", "INSERT", "UPDATE", "DELETE", "DROP", "CREATE"
    }
)  # fmt: skip


def parse(rule: str, text: str) -> Node:
    """Return the tree of `text`, the rule called `rule`. Raises RuleNotAllowed and RuleTooLarge."""
    if len(text) > MAX_LENGTH:
        raise RuleTooLarge(rule, f"it has {len(text):,} characters, at most {MAX_LENGTH:,} are allowed")
    parser = _Parser(rule, tokenize(rule, text))
    node = parser.truth()
    parser.expect_end()
    n_nodes = sum(1 for _ in walk(node))
    if n_nodes > MAX_NODES:
        raise RuleTooLarge(rule, f"it has {n_nodes} parts, at most {MAX_NODES} are allowed")
    return node


_Part = Callable[[], Node]


class _Parser:
    """Recursive descent over the tokens; `_depth` bounds the recursion."""

    def __init__(self, rule: str, tokens: list[Token]) -> None:
        self._rule, self._tokens, self._at, self._depth = rule, tokens, 0, 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> Token | None:
        """Return and pass the next token if it is one of these operators or keywords."""
        token = self._next
        if token.kind in ("operator", "keyword") and token.text in texts:
            self._at += 1
            return token
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise self._refuse(f"{text} is expected here, not {self._next.text or 'the end'}")

    def _refuse(self, reason: str, at: Token | None = None) -> RuleNotAllowed:
        return RuleNotAllowed(self._rule, (at or self._next).position, reason)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RuleTooLarge(self._rule, f"it is nested more than {MAX_DEPTH} deep")

    def expect_end(self) -> None:
        token = self._next
        if token.kind != "end":
            raise self._refuse(self._foreign(token.text) or f"{token.text} does not continue the rule")

    def truth(self) -> Node:
        start = self._next
        return self._as_truth(self._or(), start)

    def _as_truth(self, node: Node, start: Token) -> Node:
        if not is_truth(node):
            raise self._refuse("a number stands where something true or false is needed, as in close > 100", start)
        return node

    def _as_number(self, node: Node, start: Token) -> Node:
        if is_truth(node):
            raise self._refuse("something true or false stands where a number is needed", start)
        return node

    def _or(self) -> Node:
        return self._joined("OR", lambda: self._joined("AND", self._not))

    def _joined(self, operator: str, part: _Part) -> Node:
        start = self._next
        nodes = [part()]
        while self._take(operator):
            if len(nodes) == 1:
                self._as_truth(nodes[0], start)
            start = self._next
            nodes.append(self._as_truth(part(), start))
        return nodes[0] if len(nodes) == 1 else Logic(operator, tuple(nodes))

    def _not(self) -> Node:
        if not self._take("NOT"):
            return self._predicate()
        self._deeper()
        start = self._next
        node = Not(self._as_truth(self._not(), start))
        self._depth -= 1
        return node

    def _predicate(self) -> Node:
        start = self._next
        left = self._sum()
        if comparison := self._take(*COMPARISONS):
            operator = "<>" if comparison.text == "!=" else comparison.text
            return Compare(operator, self._as_number(left, start), self._number())
        if self._take("IS"):
            negated = self._take("NOT") is not None
            self._expect("NULL")
            if not isinstance(left, Column):
                raise self._refuse("IS NULL asks about a column", start)
            return IsNull(left, negated)
        negated = self._take("NOT") is not None
        if self._take("BETWEEN"):
            low = self._number()
            self._expect("AND")
            return Between(self._as_number(left, start), low, self._number(), negated)
        if negated:
            raise self._refuse("after NOT here only BETWEEN can follow")
        return left

    def _number(self) -> Node:
        start = self._next
        return self._as_number(self._sum(), start)

    def _sum(self) -> Node:
        return self._chain(("+", "-"), lambda: self._chain(("*", "/", "%"), self._sign))

    def _chain(self, operators: tuple[str, ...], part: _Part) -> Node:
        start = self._next
        first, rest = part(), []
        while operator := self._take(*operators):
            self._as_number(first, start)
            operand_start = self._next
            rest.append((operator.text, self._as_number(part(), operand_start)))
        return Chain(first, tuple(rest)) if rest else first

    def _sign(self) -> Node:
        if not self._take("-"):
            return self._primary()
        self._deeper()
        start = self._next
        node = Negative(self._as_number(self._sign(), start))
        self._depth -= 1
        return node

    def _primary(self) -> Node:
        token = self._next
        if self._take("("):
            self._deeper()
            node = self._or()
            self._expect(")")
            self._depth -= 1
            return node
        self._at += 1
        if token.kind == "number":
            return self._literal(token)
        if token.kind == "parameter":
            return Parameter(token.text[1:-1], token.position)
        if token.kind != "name":
            self._at -= 1
            raise self._refuse(f"a column or a number is expected here, not {token.text or 'the end'}")
        if self._next.text == "(":
            return self._call(token)
        if token.text.upper() in _FOREIGN:
            raise self._refuse(f"{token.text} is not part of the language of rules", token)
        return Column(token.text, token.position)

    def _literal(self, token: Token) -> Node:
        value = float(token.text)
        if value == float("inf"):
            raise self._refuse(f"{token.text} is too large", token)
        return Number(value)

    def _call(self, name: Token) -> Node:
        function = name.text.upper()
        if function not in FUNCTIONS:
            raise self._refuse(
                self._foreign(function) or f"{name.text} is no function: there are {', '.join(FUNCTIONS)}", name
            )
        self._expect("(")
        self._deeper()
        arguments = [self._number()]
        while self._take(","):
            arguments.append(self._number())
        self._expect(")")
        self._depth -= 1
        fewest, most = FUNCTIONS[function]
        if not fewest <= len(arguments) <= most:
            raise self._refuse(f"{function} takes {fewest} to {most} numbers, not {len(arguments)}", name)
        return Call(function, tuple(arguments))

    @staticmethod
    def _foreign(word: str) -> str | None:
        """Return why a word of SQL is not in the language, or None when it is no such word."""
        upper = word.upper()
        if upper in _AGGREGATES:
            return f"{word} is over all bars at once, later ones too: that would look ahead. Use a feature such as sma"
        if upper in _SHIFTS:
            return f"{word} looks at other bars: the bar before is prev_<column>, anything further back is a feature"
        return f"{word} is not part of the language of rules" if upper in _FOREIGN else None
