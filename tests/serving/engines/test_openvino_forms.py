"""What OpenVINO would not keep an answer to is refused before its engine sees it, and nothing else."""

from __future__ import annotations

import pytest

from loresmith.errors import UserError
from loresmith.serving.engines.generation import JsonSchema, Regex
from loresmith.serving.engines.openvino_forms import require_followed

FORMS_NOT_FOLLOWED = [
    Regex(value="("),
    Regex(value="(?i)oil"),
    Regex(value=r"\p{L}+"),
    Regex(value="[[:alpha:]]+x"),
    Regex(value="[x[:alpha:]]+"),
    Regex(value=r"\\(?i)oil"),
    Regex(value=r"[(](?i)oil"),
    Regex(value="[](?]x"),
    Regex(value="[^](?]x"),
    Regex(value=r"[a-z&&[^b]](?i)oil"),
    Regex(value=r"[\p{L}]"),
    Regex(value="[a[b]c]"),
    Regex(value="[a[b](?=x)]"),
    Regex(value="[a[b](?P<n>x)]"),
    Regex(value="[a&&[b](?i)]"),
    JsonSchema(value={"type": "nothing"}),
    JsonSchema(value={"type": "integer", "minimum": 5, "maximum": 1}),
    JsonSchema(value={"type": "array", "items": {"type": "integer", "multipleOf": 3}}),
    JsonSchema(value={"properties": {"name": {"type": "string", "pattern": "(?i)oil"}}}),
    JsonSchema(value={"$ref": "#/$defs/missing"}),
    *(JsonSchema(value={word: none, "type": "boolean"}) for word in ("$defs", "definitions") for none in (5, [], None)),
    JsonSchema(value={"$ref": "#/$defs/0", "$defs": [{"type": "integer", "multipleOf": 3}]}),
]


@pytest.mark.parametrize("form", FORMS_NOT_FOLLOWED)
def test_a_form_that_is_not_followed_is_refused(form: Regex | JsonSchema) -> None:
    with pytest.raises(UserError, match=r"cannot be followed|knows no"):
        require_followed(form)


@pytest.mark.parametrize(
    "form",
    [
        Regex(value="(?:ab)+[^c]{2,3}|d"),
        Regex(value=r"\(?\d{3}\)?"),
        Regex(value="[(?]x"),
        Regex(value=r"[\](?]x"),
        Regex(value=r"[\[(?]x[ab]"),
        Regex(value="[:a]"),
        Regex(value=r"C:\\bin"),
        JsonSchema(value={"type": "string", "pattern": r"^\(?\d{3}\)?$"}),
        JsonSchema(value=True),
        JsonSchema(value={"type": "object", "properties": {"multipleOf": {"type": "integer"}}}),
        JsonSchema(value={"anyOf": [{"const": {"allOf": 1}}, {"enum": ["(?i)", None]}]}),
        JsonSchema(value={"$defs": {"allOf": {"type": "string", "pattern": "[a-z]+"}}, "$ref": "#/$defs/allOf"}),
    ],
)
def test_a_form_that_is_followed_is_not(form: Regex | JsonSchema) -> None:
    require_followed(form)
