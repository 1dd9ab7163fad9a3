"""Tokens into a tree, by recursive descent; Go's grammar without define, block and template."""

from __future__ import annotations

import codecs

from skep.kit.numbers import shortened
from skep.template.budget import Budget
from skep.template.calls import Functions
from skep.template.errors import TemplateError
from skep.template.lexer import Token, tokens
from skep.template.nodes import (
    Branch,
    Call,
    Chain,
    Dot,
    Function,
    Jump,
    Literal,
    Node,
    Output,
    Pipeline,
    Text,
    Variable,
)

_BRANCHES = frozenset(("if", "with", "range"))
_JUMPS = frozenset(("break", "continue"))
_CONSTANTS = {"true": True, "false": False, "nil": None}
_ESCAPE_RANGE = range(0x80)


_DEEPEST = 100
"""Of blocks and parentheses in one another. Go ends where its stack does."""
_MOST_VARIABLES = 100


def parse(template: str, functions: Functions, budget: Budget) -> tuple[Node, ...]:
    """The nodes of a whole template; raises TemplateError."""
    stream = []
    for token in tokens(template):
        budget.step()
        stream.append(token)
    parser = _Parser(stream, functions)
    nodes, ended_by = parser.block(frozenset(), in_range=False)
    assert ended_by == ""
    return nodes


class _Parser:
    def __init__(self, stream: list[Token], functions: Functions) -> None:
        self._stream = stream
        self._functions = functions
        self._at = 0
        self._depth = 0
        self._variables = ["$"]

    # Blocks

    def block(self, ends: frozenset[str], *, in_range: bool) -> tuple[tuple[Node, ...], str]:
        """Nodes up to one of the words in `ends` (or the end of the text), and that word."""
        nodes: list[Node] = []
        known = len(self._variables)
        while self._at < len(self._stream):
            token = self._next()
            if token.kind == "text":
                nodes.append(Text(token.text))
                continue
            self._skip_space()
            word = self._peek().text if self._peek().kind == "word" else ""
            if word in ends:
                self._at += 1
                del self._variables[known:]
                return tuple(nodes), word
            nodes.append(self._action(word, in_range))
        if ends:
            raise TemplateError("unexpected EOF")
        return tuple(nodes), ""

    def _action(self, word: str, in_range: bool) -> Node:
        if word in _BRANCHES:
            self._at += 1
            return self._branch(word, in_range)
        if word in _JUMPS:
            self._at += 1
            if not in_range:
                raise TemplateError(f"{{{{{word}}}}} outside {{{{range}}}}")
            self._close(word)
            return Jump(word)
        if word in {"end", "else"}:
            raise TemplateError(f"unexpected {{{{{word}}}}}")
        pipeline = self._pipeline("command")
        self._close("command")
        return Output(pipeline)

    def _branch(self, word: str, in_range: bool) -> Branch:
        self._enter()
        known = len(self._variables)
        pipeline = self._pipeline(word)
        self._close(word)
        inside = in_range or word == "range"
        body, ended_by = self.block(frozenset(("end", "else")), in_range=inside)
        otherwise: tuple[Node, ...] = ()
        if ended_by == "else":
            otherwise = self._otherwise(word, in_range)
        else:
            self._close("end")
        del self._variables[known:]
        self._depth -= 1
        return Branch(word, pipeline, body, otherwise)

    def _otherwise(self, word: str, in_range: bool) -> tuple[Node, ...]:
        self._skip_space()
        if word != "range" and self._peek() == Token("word", word):
            self._at += 1
            return (self._branch(word, in_range),)
        self._close("else")
        otherwise, _ = self.block(frozenset(("end",)), in_range=in_range)
        self._close("end")
        return otherwise

    # Pipelines

    def _pipeline(self, context: str) -> Pipeline:
        variables, declares = self._assigned(context)
        calls = [self._call(context)]
        while self._take("mark", "|"):
            calls.append(self._call(context))
        self._variables += variables if declares else []
        if len(self._variables) > _MOST_VARIABLES:
            raise TemplateError(f"exceeded {_MOST_VARIABLES} variables")
        return Pipeline(tuple(calls), tuple(variables), declares)

    def _assigned(self, context: str) -> tuple[list[str], bool]:
        """The variables before `:=` or `=`, if the pipeline begins so."""
        start = self._at
        names: list[str] = []
        self._skip_space()
        while self._peek().kind == "variable":
            names.append(self._next().text)
            self._skip_space()
            if context == "range" and len(names) == 1 and self._take("mark", ","):
                self._skip_space()
                continue
            if self._take("mark", ":="):
                return names, True
            if self._take("mark", "="):
                for name in names:
                    self._known(name)
                return names, False
            break
        self._at = start
        return [], False

    def _call(self, context: str) -> Call:
        operands: list[Node] = []
        self._skip_space()
        while self._peek().kind != "close" and self._peek().text not in {"|", ")"}:
            operands.append(self._operand())
            if not self._skip_space():
                break
        if not operands:
            raise TemplateError(f"missing value for {context}")
        head, *arguments = operands
        if arguments and isinstance(head, Literal | Dot):
            raise TemplateError("can't give argument to non-function")
        return Call(head, tuple(arguments))

    def _operand(self) -> Node:
        base = self._term()
        fields = []
        while self._peek().kind == "field":
            fields.append(self._next().text[1:])
        if not fields:
            return base
        if isinstance(base, Literal | Function):
            raise TemplateError(f"unexpected . after term {fields[0]!r}")
        return Chain(base, tuple(fields))

    def _term(self) -> Node:
        token = self._next()
        match token.kind:
            case "string" | "char" | "number":
                return Literal(_literal(token))
            case "variable":
                return self._known(token.text)
            case "word":
                return self._named(token.text)
            case "field":
                self._at -= 1
                return Dot()
        if token.text == ".":
            return Dot()
        if token.text == "(":
            self._enter()
            pipeline = self._pipeline("parenthesized pipeline")
            self._skip_space()
            if not self._take("mark", ")"):
                raise TemplateError("unclosed left paren")
            self._depth -= 1
            return pipeline
        raise TemplateError(f"unexpected {token.text!r} in operand")

    def _named(self, word: str) -> Node:
        if word in _CONSTANTS:
            return Literal(_CONSTANTS[word])
        if word not in self._functions:
            raise TemplateError(f'function "{word}" not defined')
        return Function(word)

    def _known(self, name: str) -> Variable:
        if name not in self._variables:
            raise TemplateError(f'undefined variable "{name}"')
        return Variable(name)

    def _enter(self) -> None:
        """One block or parenthesis deeper."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TemplateError(f"exceeded {_DEEPEST} blocks in one another")

    # Tokens

    def _peek(self) -> Token:
        return self._stream[self._at]

    def _next(self) -> Token:
        self._at += 1
        return self._stream[self._at - 1]

    def _take(self, kind: str, text: str) -> bool:
        if self._peek() == Token(kind, text):
            self._at += 1
            return True
        return False

    def _skip_space(self) -> bool:
        skipped = False
        while self._peek().kind == "space":
            self._at += 1
            skipped = True
        return skipped

    def _close(self, context: str) -> None:
        self._skip_space()
        token = self._next()
        if token.kind != "close":
            raise TemplateError(f"unexpected {token.text!r} in {context}")


def _literal(token: Token) -> str | int | float:
    if token.kind == "number":
        return _number(token.text)
    inner = token.text[1:-1]
    if token.text.startswith("`"):
        return inner
    text = _unescape(inner)
    if token.kind == "char":
        if len(text) != 1:
            raise TemplateError(f"malformed character constant: {token.text}")
        return ord(text)
    return text


def _number(text: str) -> int | float:
    try:
        number = int(text, 0)
    except ValueError:
        pass
    else:
        if not -(2**63) <= number < 2**64:
            raise TemplateError(f"integer overflow: {shortened(text)}")
        return number
    try:
        return float(text.replace("_", ""))
    except ValueError:
        raise TemplateError(f"bad number syntax: {shortened(text)!r}") from None


def _unescape(text: str) -> str:
    """Go's backslash escapes, which are C's as Python reads them."""
    if "\\" not in text:
        return text
    try:
        plain = "".join(c if ord(c) in _ESCAPE_RANGE else f"\\U{ord(c):08x}" for c in text)
        decoded = codecs.decode(plain, "unicode_escape")
        decoded.encode()  # half of a surrogate pair is no character
        return decoded
    except UnicodeError:
        raise TemplateError(f'invalid syntax in string "{text}"') from None
