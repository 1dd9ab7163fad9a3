"""Templates in a service's spec: what Swarm lets them say, and that nobody's template is dear."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument
from skep.model.node import NodeDescription
from skep.model.service import ContainerSpec, Driver, Mount, Platform, VolumeOptions
from skep.model.task import ServiceAnnotations
from skep.model.template import SOME_TASK, context_of, expanded
from skep.testing import builders as b

NODE = replace(
    b.node("n1", labels={"zone": "west"}),
    description=NodeDescription(
        hostname="n1.local", platform=Platform(architecture="x86_64", os="linux")
    ),
)
TASK = replace(
    b.task("t1", b.service(name="web"), slot=2),
    service_annotations=ServiceAnnotations(name="web", labels={"tier": "front", "n": "3"}),
)
CONTEXT = context_of(TASK, NODE)


def value(template: str) -> str:
    (entry,) = expanded(ContainerSpec(env=[f"A={template}"]), CONTEXT).env
    return entry.removeprefix("A=")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain }} text", "plain }} text"),
        ("{{.Service.ID}}/{{ .Service.Name }}", "web/web"),
        ("{{.Node.ID}} {{.Node.Hostname}}", "n1 n1.local"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "linux/x86_64"),
        ("{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}", "t1 web.2.t1 2"),
        ('{{index .Service.Labels "tier"}}{{index .Service.Labels "nope"}}', "front"),
        ('{{.Service.Labels.tier}} {{index .Node.Labels "zone"}}', "front west"),
        ('{{join "-" .Service.Name .Task.Slot}}', "web-2"),
        ('{{if eq .Task.Slot "2"}}second{{else}}other{{end}}', "second"),
        ("{{range $k, $v := .Service.Labels}}{{$k}}={{$v}};{{end}}", "n=3;tier=front;"),
        ('{{with index .Service.Labels "nope"}}{{.}}{{else}}none{{end}}', "none"),
        ('{{printf "%s_%03d" .Service.Name 7}} {{len .Service.Name}}', "web_007 3"),
        ('{{slice .Node.ID 0 1}} {{.Task.Slot | printf "%q"}}', 'n "2"'),
        ("{{js `a'b`}} {{html `<`}} {{urlquery `a b`}}", "a\\'b &lt; a+b"),
        ("{{/* said to nobody */}}x {{- `y`}}", "xy"),
    ],
)
def test_a_template_says_what_swarm_s_says(template: str, text: str) -> None:
    assert value(template) == text


def test_hostname_env_values_and_mounts_are_expanded_and_nothing_else() -> None:
    slot = "{{.Task.Slot}}"
    driver = Driver(name=slot, options={"o": slot})
    options = VolumeOptions(labels={slot: slot}, driver_config=driver)
    spec = ContainerSpec(
        image=slot,
        hostname=f"h{slot}",
        env=[f"{slot}={slot}", slot],
        mounts=[Mount(source=f"v{slot}", target=f"/{slot}", volume_options=options)],
        labels={"a": slot},
        args=[slot],
    )
    task = expanded(spec, CONTEXT)
    assert task == replace(
        spec,
        hostname="h2",
        env=[f"{slot}=2", slot],
        mounts=[
            Mount(
                source="v2",
                target="/2",
                volume_options=VolumeOptions(
                    labels={slot: "2"}, driver_config=Driver(name=slot, options={"o": "2"})
                ),
            )
        ],
    )


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{.Task.Slot", "unclosed action"),
        ("{{.Nope}}", "can't evaluate field Nope in type *template.Context"),
        ("{{if .Nope}}{{end}}", "can't evaluate field Nope in type *template.Context"),
        ("{{.Service.Labels.nope}}", 'map has no entry for key "nope"'),
        ("{{json .Task}}", 'function "json" not defined'),
        ("{{index .Task.ID 99}}", "index out of range: 99"),
        ("{{join 1 2}}", "wrong type for value; expected string; got json.Number"),
    ],
)
def test_what_cannot_be_expanded_is_refused_in_swarm_s_words(template: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        expanded(ContainerSpec(env=[f"A={template}"]), SOME_TASK)
    assert str(refused.value) == (
        f'expanding env failed: expanding env "A={template}": template: expansion: {complaint}'
    )


def test_each_place_says_where_it_was() -> None:
    bad = "{{.Nope}}"
    driver = Driver(options={"o": bad})
    for spec, words in (
        (ContainerSpec(hostname=bad), "expanding hostname failed: template"),
        (ContainerSpec(mounts=[Mount(source=bad)]), 'failed: expanding mount source "{{.Nope}}"'),
        (ContainerSpec(mounts=[Mount(target=bad)]), 'failed: expanding mount target "{{.Nope}}"'),
        (
            ContainerSpec(mounts=[Mount(volume_options=VolumeOptions(labels={"a": bad}))]),
            'expanding volume labels: expanding map entry "a"',
        ),
        (
            ContainerSpec(mounts=[Mount(volume_options=VolumeOptions(driver_config=driver))]),
            'expanding volume driver config: expanding map entry "o"',
        ),
    ):
        with pytest.raises(InvalidArgument) as refused:
            expanded(spec, SOME_TASK)
        assert words in str(refused.value)


DEAR = {
    "a long loop": "{{range 1000000000}}{{end}}",
    "loops in loops": "{{range 9999}}" * 20 + "x" + "{{end}}" * 20,
    "a text that doubles": '{{$x := "aaaaaaaa"}}{{range 60}}{{$x = print $x $x}}{{end}}',
    "a wide number": "{{printf `%999999999d` 1}}{{printf `%.999999999f` 1.0}}",
    "many wide numbers": "{{printf `" + "%999d" * 9_000 + "`" + " 1" * 9_000 + "}}",
    "a much repeated argument": "{{$x := printf `%900d` 1}}{{print " + "$x " * 9_000 + "}}",
    "many blocks in one another": "{{if 1}}" * 5_000 + "{{end}}" * 5_000,
    "many parentheses": "{{" + "(" * 5_000 + "1" + ")" * 5_000 + "}}",
    "a long chain of else": "{{if 0}}" + "{{else if 0}}" * 5_000 + "{{end}}",
    "many variables": "".join(f"{{{{$v{n} := 1}}}}" for n in range(9_000)),
    "many actions": "{{.Task.ID}}" * 100_000,
    "many braces": "{{" * 200_000,
    "comments without an end": "{{/*" * 100_000,
    "comments": "{{/* */ }}" * 50_000,
    "a number of many digits": "{{" + "9" * 200_000 + "}}",
    "a long hexadecimal number": "{{0x" + "f" * 200_000 + "}}",
    "blanks": "{{" + " " * 300_000,
}


@pytest.mark.parametrize("template", DEAR.values(), ids=DEAR)
def test_no_template_takes_long_or_becomes_big(template: str) -> None:
    began = time.process_time()
    try:
        text = value(template)
    except InvalidArgument as error:
        assert len(str(error)) < 400
    else:
        assert len(text) <= 250_000
    assert time.process_time() - began < 1


def test_all_templates_of_a_container_share_what_they_may_cost() -> None:
    spec = ContainerSpec(env=["A={{range 100}}x{{end}}"] * 1_000)
    with pytest.raises(InvalidArgument, match="exceeded the number of steps"):
        expanded(spec, CONTEXT)
    plain = ContainerSpec(env=["A=" + "x" * 1_000] * 10_000)
    assert expanded(plain, CONTEXT) == plain


PIECES = st.sampled_from([
    "{{", "}}", ".", ".Task", ".Slot", "$", "$x", ":=", "=", "|", "(", ")", " ", "if", "else",
    "end", "range", "with", "break", "continue", "index", "printf", "print", "slice", "and", "or",
    "eq", "lt", "join", "js", "len", "call", "`%d`", '"%c"', '"\\ud800"', "'a'", "1", "-1", "1e999",
    "0x7fffffffffffffff", "55296", "1114112", "/*", "*/", "-", ",", "nil", "true", "\0", "ü",
])  # fmt: skip


@given(st.lists(PIECES, max_size=12))
def test_any_text_is_expanded_or_refused(pieces: list[str]) -> None:
    for template in ("".join(pieces), "{{" + " ".join(pieces) + "}}"):
        try:
            value(template).encode()
        except InvalidArgument as error:
            assert str(error)
