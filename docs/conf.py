"""How the manual is built: `make docs`."""

import inspect

from sphinx.util.inspect import stringify_signature

from keras_noisy_student import __version__

project = "keras_noisy_student"
release = __version__
copyright = "the authors of keras_noisy_student, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3  # those that GitHub gives headings too, so that a link works in both

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["manual.css"]
html_css_files = ["manual.css"]
html_copy_source = False
html_domain_indices = False

default_role = "py:obj"  # docstrings name objects in single backticks, which become links
add_module_names = False
maximum_signature_line_length = 120
autodoc_default_options = {
    "members": True,
    "exclude-members": "build, compute_output_shape, compute_output_spec, from_config, get_config",  # Keras' own
}
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
autodoc_mock_imports = ["apache_beam", "imagecorruptions"]
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Call arguments, returns",
    "Input shape",
    "Output shape",
    "Reference",
]


def _readable_signature(app, what, name, value, options, signature, returns):
    """Mends two kinds of signatures.

    Keras layers have a `__new__` of any arguments, which autodoc would show in place of those of `__init__`. A default
    that a dataclass makes, `<factory>`, is no Python, so that the types beside it would not be shortened.
    """
    if signature == "(*args, **kwargs)":
        of_init = inspect.signature(value.__init__).replace(return_annotation=inspect.Signature.empty)
        signature = stringify_signature(of_init, unqualified_typehints=True).replace("(self, ", "(", 1)
    return signature and signature.replace("<factory>", "..."), returns


def setup(app):
    """Connects the above."""
    app.connect("autodoc-process-signature", _readable_signature)
