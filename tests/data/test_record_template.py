"""A template makes text of a record's fields and can do nothing else."""

from __future__ import annotations

import time

import pytest

from loresmith.data.record_template import LONGEST_TEXT, RecordTemplate, TemplateRecordError
from loresmith.errors import UserError

FIELDS = {"code": "E1", "n": 3, "parts": ["a", {"k": "v"}], "none": None, "Fault code": "F7", "long": "x" * 1000}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Fault {{ code }} ({{ n }}){{ none }}\n", "Fault E1 (3)\n"),
        ("{{ record['Fault code'] }}", "F7"),
        ("{% for part in parts %}{{ loop.index }}: {{ part }}\n{% endfor %}", "1: a\n2: {'k': 'v'}\n"),
        ("{% if n > 2 %}many{% else %}few{% endif %}", "many"),
        ("{{ missing | default('-') }}{{ x is defined }}", "-False"),
        ("{{ code ~ '/' ~ n }} {{ code.lower() }} {{ parts[1].k }}", "E1/3 e1 v"),
        ("{{ parts | join(', ') }} {{ code | replace('E', 'Error ') }}", "a, {'k': 'v'} Error 1"),
        ("{% set c = code %}{{ c }}{% with d = n + 1 %}{{ d }}{% endwith %}", "E14"),
        ("{{ '<b>' }} & {{ record | tojson | length > 9 }}", "<b> & True"),
    ],
)
def test_fields_become_text(template: str, text: str) -> None:
    assert RecordTemplate(template).render(FIELDS) == text


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{ a", 1),
        ("one\n{% if %}", 2),
        ("one\ntwo {% include 'x' %}", 2),
        ("{% import 'os' as os %}", 1),
        ("\n{% macro f() %}{% endmacro %}", 2),
        ("{% extends 'x' %}", 1),
        ("{% for x in y recursive %}{% endfor %}", 1),
        ("{% block b %}{% endblock %}", 1),
        ("{{ x | nosuch }}", 1),
        ("{{ x | random }}", 1),
        ("{% call f() %}{% endcall %}", 1),
        ("\n\n{{ _turn() }}", 3),
    ],
)
def test_what_is_no_template_of_records_is_named_with_its_line(template: str, line: int) -> None:
    with pytest.raises(UserError) as caught:
        RecordTemplate(template)
    assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize(
    "template", ["{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "{% if 1 %}" * 500 + "{% endif %}" * 500]
)
def test_a_template_nested_without_end_is_refused(template: str) -> None:
    with pytest.raises(UserError):
        RecordTemplate(template)


def test_a_name_that_is_no_column_is_answered_with_line_and_nearest() -> None:
    template = RecordTemplate("{{ code }}\n\n{{ cuase }}{{ maybe | default('') }}")
    template.require_fields(["code", "cuase"])
    with pytest.raises(UserError, match=r"line 3.*unknown field 'cuase'; did you mean 'cause'\?"):
        template.require_fields(["code", "cause"])
    with pytest.raises(TemplateRecordError, match="did you mean 'cause'"):
        template.render({"code": 1, "cause": 2})


TWO_TABLES = """{% if symptom is defined %}{{ code }}: {{ symptom }}
{%- elif ticket is defined and not (code is defined) %}{% for line in lines %}{% if answer %}{{ answer }}{% endif %}
{% endfor %}{% else %}{% if hall is undefined %}{{ task }}{% else %}{{ bay }}{% endif %}{% endif %}"""


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        ("code symptom", ""),
        ("symptom", "code"),
        ("ticket lines answer", ""),
        ("ticket lines", "answer"),
        ("ticket code task", ""),
        ("ticket code", "task"),
        ("hall task", "bay"),
    ],
)
def test_a_table_needs_the_columns_of_the_branch_that_its_records_take(columns: str, missing: str) -> None:
    template = RecordTemplate(TWO_TABLES)
    if not missing:
        template.require_fields(columns.split())
        template.render({column: ["x"] for column in columns.split()})
        return
    with pytest.raises(UserError, match=f"unknown field '{missing}'"):
        template.require_fields(columns.split())


def test_a_branch_that_depends_on_the_record_counts() -> None:
    template = RecordTemplate("{% if a is defined or b > 1 %}{{ c }}{% elif d %}{{ e }}{% endif %}")
    template.require_fields("bcde")
    template.require_fields("ac")
    with pytest.raises(UserError, match="unknown field 'e'"):
        template.require_fields("bcd")


@pytest.mark.parametrize(
    "template",
    [
        "{{ code.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ code.format }}",
        "{{ '{:>99999999999}'.format(1) }}",
        "{{ '%99999999999d' % 1 }}",
        "{{ code * 10 ** 10 }}",
        "{{ parts * 1000000000 }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ 10 ** 200 * 10 ** 200 }}",
        "{{ code.center(10 ** 10) }}",
        "{{ parts.append(1) }}",
        "{{ range(10) }}",
        "{{ namespace(a=1) }}",
        "{{ lipsum() }}",
        "{{ self }}",
        "{{ parts | map('upper') }}",
        "{{ n + code }}",
        "{{ n / 0 }}",
        "{{ long | replace('', long) | replace('', long) | replace('', long) }}",
        "{% set x = 'ab' %}" + "{% set x = x ~ x %}" * 60 + "{{ x | length }}",
        "{% set x = 'ab' %}" + "{% set x = x + x %}" * 60 + "{{ x | length }}",
        "{% for a in long %}" * 6 + "{{ a }}" + "{% endfor %}" * 6,
        "{% for a in long %}{% for b in long %}{{ long }}{{ long }}{% endfor %}{% endfor %}",
    ],
)
def test_what_would_reach_out_or_grow_is_stopped(template: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateRecordError) as caught:
        RecordTemplate(template).render(FIELDS)
    assert time.process_time() - started < 3
    assert "0x" not in str(caught.value)


def test_text_up_to_the_limit_is_made() -> None:
    template = RecordTemplate("{{ a }}{{ a }}")
    assert len(template.render({"a": "x" * (LONGEST_TEXT // 2)})) == LONGEST_TEXT
    with pytest.raises(TemplateRecordError):
        template.render({"a": "x" * (LONGEST_TEXT // 2 + 1)})


def test_a_template_does_not_change_the_record() -> None:
    fields = {"a": [1, 2], "b": {"c": 1}}
    RecordTemplate("{% set a = 3 %}{{ a }}{{ b | dictsort }}{{ record.a | sort | list }}").render(fields)
    assert fields == {"a": [1, 2], "b": {"c": 1}}
