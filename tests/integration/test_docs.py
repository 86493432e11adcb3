"""The manual builds without a warning, names everything public, and has no link that leads nowhere."""

import html.parser
import inspect
import os
import pathlib
import pkgutil
import subprocess
import sys
import urllib.parse

import pytest

import keras_noisy_student as kns

pytest.importorskip("sphinx", reason="The manual is built by Sphinx.")
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from sphinx.util.inventory import InventoryFile

ROOT = pathlib.Path(kns.__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
MARKDOWN = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=4)
# What a subpackage lists is public; a module without a list is none of the user's business.
LISTS = ["beam", "evaluation", "evaluation.robustness", "noise", "recipes", "report", "speech", "students", "video"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    path = tmp_path_factory.mktemp("site")
    # The virtual environment of this process need not be the active one.
    environment = os.environ | {"PATH": f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    built = subprocess.run(
        ["make", "docs", f"SITE={path}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    # Of Sphinx, which names the place; a line of TensorFlow's begins so.
    assert ": WARNING: " not in built.stderr
    return path


def test_docs_name_everything_that_is_public(site):
    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", urllib.parse.urljoin)
    documented = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    assert _public_names() - documented == set()


def test_docs_list_every_public_subpackage():
    package = pathlib.Path(kns.__file__).parent
    with_list = [path for path in package.rglob("*.py") if "\n__all__ = " in path.read_text()]
    names = {".".join(path.relative_to(package).with_suffix("").parts).removesuffix("__init__") for path in with_list}
    assert {name.removesuffix(".") for name in names} == {"", *LISTS}


def test_links_between_the_pages_of_docs_lead_somewhere():
    pages = {page: _Markdown(page) for page in PAGES}
    broken = [
        f"{page}: {link}" for page, content in pages.items() for link in content.links if not _leads(link, page, pages)
    ]
    assert broken == []


def test_links_of_the_built_docs_lead_somewhere(site):
    pages = {page: _Html(page) for page in site.rglob("*.html")}
    assert len(pages) > 30
    broken = [
        f"{page}: {link}" for page, content in pages.items() for link in content.links if not _leads(link, page, pages)
    ]
    assert broken == []


def _leads(link, page, pages):
    """Whether there is what a link of a page names. One that leaves the project is not followed: it must be https."""
    url = urllib.parse.urlsplit(link)
    if url.scheme or url.netloc:
        return url.scheme == "https" and "." in url.netloc
    path = (page.parent / urllib.parse.unquote(url.path)).resolve() if url.path else page
    return path.exists() and (not url.fragment or url.fragment in pages[path].anchors)


def _public_names():
    """`keras_noisy_student.X`, and what its public modules list; a module itself is documented by its members."""
    modules = {"keras_noisy_student": kns.__all__}
    for name in LISTS:
        full_name = f"keras_noisy_student.{name}"
        if name == "beam":  # need not be installed
            modules[full_name] = ["annotate", "select"]
            continue
        module = pkgutil.resolve_name(full_name)
        modules[full_name] = [each for each in module.__all__ if not inspect.ismodule(getattr(module, each))]
    for name in ("imagenet", "svhn"):
        recipe = getattr(kns.recipes, name)
        functions = inspect.getmembers(recipe, inspect.isfunction)
        modules[recipe.__name__] = [n for n, f in functions if f.__module__ == recipe.__name__ and n[0] != "_"]
    return {f"{module}.{name}" for module, names in modules.items() for name in names}


class _Markdown:
    """The anchors of a page, as GitHub makes them, and its links."""

    def __init__(self, path):
        tokens = MARKDOWN.parse(path.read_text())
        inline = [child for token in tokens for child in token.children or []]
        self.anchors = {token.attrs["id"] for token in tokens if "id" in token.attrs}
        self.links = [child.attrs.get("href", child.attrs.get("src")) for child in inline if child.attrs]


class _Html(html.parser.HTMLParser):
    """The anchors and the links of a page of the site."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.add(attributes.get("id"))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name) is not None]
