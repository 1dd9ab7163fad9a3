"""Templates say what Go's text/template says (each line here was run through docker inspect)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.cli.show.functions import FORMAT_FUNCTIONS
from skep.template import TemplateError, compile_template
from skep.template.printf import printf
from skep.template.values import MissingKey, show_float

DATA: dict[str, Any] = {
    "Name": "/c1",
    "Config": {"Cmd": ["sleep", "10000"], "Env": None, "Labels": {"a": "b", "c": "d"}},
    "State": {"Running": True, "Paused": False, "Pid": 42, "ExitCode": 0},
    "Bindings": {"80/tcp": [{"HostPort": "8080"}]},
}


def render(template: str, data: Any = DATA, *, missing: MissingKey = "shown") -> str:
    return compile_template(template, FORMAT_FUNCTIONS).execute(data, missing=missing)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}} {{.State.Pid}} {{.State.Running}}", "/c1 42 true"),
        ('{{.Name | printf "%q"}}', '"/c1"'),
        ("{{len .Config.Env}} {{len .Config.Cmd}} {{len .Name}}", "0 2 3"),
        ("{{if and .State.Running (not .State.Paused)}}up{{else}}down{{end}}", "up"),
        ("{{if .Nope}}a{{else if .State.Pid}}b{{else}}c{{end}}", "b"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=b;c=d;"),
        ("{{range $i, $c := .Config.Cmd}}{{if $i}},{{end}}{{$c}}{{end}}", "sleep,10000"),
        ("{{range .Config.Env}}{{.}}{{else}}none{{end}}", "none"),
        ("{{range .Config.Cmd}}{{if eq . `sleep`}}{{continue}}{{end}}{{.}}{{end}}", "10000"),
        ("{{range .Config.Cmd}}{{.}}{{break}}{{end}}", "sleep"),
        ('{{index .Config.Cmd 0}} {{index .Config.Labels "a"}}', "sleep b"),
        ('{{(index (index .Bindings "80/tcp") 0).HostPort}}', "8080"),
        ("{{with .State}}{{.Pid}} {{$.Name}}{{end}}", "42 /c1"),
        ('{{.State.Pid | printf "%08d"}}', "00000042"),
        ("{{json .Config.Labels}}", '{"a":"b","c":"d"}'),
        ('{{join .Config.Cmd ","}} {{upper "abc"}} {{title "foo bar"}}', "sleep,10000 ABC Foo Bar"),
        ('{{split "a:b" ":"}} {{pad "x" 2 3}}| {{truncate "abcdef" 3}}', "[a b]   x   | abc"),
        ("{{slice .Name 0 2}}", "/c"),
        ("{{println .Name 1 2}}", "/c1 1 2\n"),
        ("{{eq .State.ExitCode 0}} {{ne `a` `b`}} {{lt 1 2}} {{ge 1 2}}", "true true true false"),
        ('{{and 1 0}} {{or 0 "x"}} {{not 1}}', "0 x false"),
        ('{{print 1 2 "a" "b" 3}}', "1 2ab3"),
        ('{{printf "%v %5d|%-5s|%05.2f %x %t" .Config.Cmd 42 "ab" 3.14159 255 true}}',
         "[sleep 10000]    42|ab   |03.14 ff true"),
        ('{{- "a" -}} b {{- "c"}}', "abc"),
        ("x{{/* said to nobody */}}y {{- /* nor this */ -}} z", "xyz"),
        ("{{$x := 5}}{{$x}}{{$x = 6}}{{$x}}", "56"),
        ('{{1.5}} {{1e3}} {{0x10}} {{"é\\n"}}', "1.5 1000 16 é\n"),
        ("{{'a'}}", "97"),
        ('{{html "<a>"}} {{urlquery "a b&c"}}', "&lt;a&gt; a+b%26c"),
        ("{{.Config.Cmd}} {{.Config.Labels}} {{.Config.Env}}",
         "[sleep 10000] map[a:b c:d] <nil>"),
        ("{{.Nope}}", "<no value>"),
    ],
)  # fmt: skip
def test_a_template_renders_as_go_renders_it(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{.Name", "unclosed action"),
        ("{{nosuch}}", 'function "nosuch" not defined'),
        ("{{range .A}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ('{{"a}}', "unterminated quoted string"),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{}}", "missing value for command"),
        ("{{1 2}}", "can't give argument to non-function"),
        ("{{(1}}", "unclosed left paren"),
    ],
)
def test_what_is_no_template_is_refused_in_gos_words(template: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(template)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{index .Config.Cmd 9}}", "index out of range: 9"),
        ("{{.Name.Foo}}", "can't evaluate field Foo in type string"),
        ("{{.Nope.Foo}}", "nil pointer evaluating interface {}.Foo"),
        ("{{eq 1 `a`}}", "error calling eq: incompatible types for comparison"),
        ("{{upper 1}}", "wrong type for value; expected string; got json.Number"),
        ("{{upper}}", "error calling upper: wrong number or type of arguments (0 given)"),
    ],
)
def test_what_cannot_be_executed_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template)
    assert str(caught.value) == complaint


def test_a_missing_key_may_be_asked_about_but_not_printed() -> None:
    assert render("{{if .State.Health}}x{{else}}none{{end}}", missing="unprintable") == "none"
    with pytest.raises(TemplateError, match='map has no entry for key "Health"'):
        render("{{.State.Health}}", missing="unprintable")


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_stands_for_itself(text: str) -> None:
    assert render(text) == text


@given(st.text())
def test_a_quoted_string_is_printed_as_it_was(text: str) -> None:
    assert render("{{" + json.dumps(text, ensure_ascii=False) + "}}") == text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(_JSON)
def test_json_gives_the_same_data_back(data: Any) -> None:
    assert json.loads(render("{{json .}}", data)) == data


@given(st.lists(st.text(min_size=1), min_size=1))
def test_range_goes_over_everything_in_order(items: list[str]) -> None:
    assert render("{{range .}}{{.}}\0{{end}}", items) == "".join(f"{each}\0" for each in items)


@given(st.text(), st.lists(_JSON, max_size=3))
def test_printf_never_fails(template: str, arguments: list[Any]) -> None:
    assert isinstance(printf(template, *arguments), str)


@given(st.text(alphabet='{}. |()$"`:=-abfginrdelw/*01', max_size=30))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    try:
        compile_template(text).execute({"a": 1})
    except TemplateError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.5, "0.5"), (3.0, "3"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
     (1.5e-5, "1.5e-05"), (0.0001, "0.0001"), (-2.25, "-2.25")],
)  # fmt: skip
def test_floats_are_as_short_as_gos(number: float, text: str) -> None:
    assert show_float(number) == text
