"""The templates of the report: HTML, CSS and JavaScript beside this module."""

import functools
from typing import Any

import jinja2
from markupsafe import Markup


def render(name: str, **values: Any) -> Markup:
    """A template with its values, escaped as HTML unless they are `Markup`."""
    return Markup(_environment().get_template(name).render(**values))


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("keras_noisy_student.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
