"""The page as the server puts it together, from the sources: for looking at it without a build."""

import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "Sources/InferServer/Page"


def assemble():
    # The order of the scripts is the server's.
    names = re.findall(r"PackageResources\.(\w+)_js", (FOLDER / "Pages.swift").read_text())
    scripts = "\n".join((FOLDER / f"{name}.js").read_text() for name in names)
    page = (FOLDER / "chat.html").read_text()
    return page.replace("/* chat.css */", (FOLDER / "chat.css").read_text()).replace("/* scripts */", scripts)


def policy():
    source = (FOLDER / "Pages.swift").read_text()
    parts = re.search(r'"content-security-policy",(.*?)\)\)', source, re.S).group(1)
    return "".join(re.findall(r'"([^"]*)"', parts))
