"""`Section`: a part of what the report shows of a round."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading, and what stands under it.

    Args:
        title: of the section, plain text.
        html: trusted HTML, taken as it is. It must not ask for anything outside of the file, which the page forbids:
            pictures are inline SVG, or `data:` URIs.
    """

    title: str
    html: str
