"""Reading a drawing: what it says, its marks by what they say on hover, its pixels."""

import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
from PIL import Image

from allyouneed.tracing.labels import MARK

SVG = "{http://www.w3.org/2000/svg}"


def tree(drawn: str) -> ET.Element:
    """Names without the namespace."""
    root = ET.fromstring(drawn)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
    return root


def cells(root: ET.Element) -> dict[str, ET.Element]:
    """Marks by what they say on hover."""
    named = {
        mark.findtext("title"): mark for mark in root.iter() if mark.find("title") is not None and mark is not root
    }
    return {name: mark for name, mark in named.items() if name}


def texts(root: ET.Element) -> list[str]:
    return ["".join(element.itertext()).replace(MARK, "") for element in root.iter("text")]


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [element for element in root.iter() if name in (element.get("class") or "").split()]


def dots(element: ET.Element) -> np.ndarray:  # y x 3
    """The pixels of the first image inside."""
    (address,) = [image.get("href") or "" for image in element.iter("image")]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def code(dot: np.ndarray) -> str:
    """A pixel as a colour is written."""
    return "#" + "".join(f"{value:02x}" for value in dot.tolist())
