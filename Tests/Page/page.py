"""The page at `/` in headless Chromium: python page.py SERVER_URL CHROMIUM FOLDER_FOR_PICTURES

First with a running server and its model, then with made-up answers (stub.py) for what a small fast model cannot show:
a stop in the middle, thoughts, Markdown, errors. Prints one line per check and a closing line `N passed, N failed`.
"""

import pathlib
import sys
import traceback
import urllib.request

from browser import Browser
from stub import Stub

server, chromium, pictures = sys.argv[1].rstrip("/") + "/", sys.argv[2], pathlib.Path(sys.argv[3])
pictures.mkdir(parents=True, exist_ok=True)
request = urllib.request.Request(server, headers={"Accept": "text/html"})
reply = urllib.request.urlopen(request, timeout=30)
page = reply.read()
stub = Stub(page, [("Content-Security-Policy", reply.headers["Content-Security-Policy"])])
browser = Browser(chromium)
browser.screen(1200, 800)
passed = failed = 0

LAST = "document.querySelector('.message.assistant:last-of-type .body')"
IS_DONE = "document.getElementById('stop').hidden"


def check(name):
    def run(function):
        global passed, failed
        try:
            function()
            complaints = browser.complaints()
            browser.events.clear()
            assert not complaints, complaints
            passed += 1
            print("ok     ", name)
        except Exception as error:  # noqa: BLE001 - every failure is reported, whatever it is
            failed += 1
            line = traceback.extract_tb(error.__traceback__)[1]
            print("FAILED ", name, "- line", line.lineno, type(error).__name__, error)
            browser.picture(pictures / f"failed-{failed}.png")

    return run


def ask(text, waits=True):
    browser.evaluate("document.getElementById('input').focus()")
    browser.type(text)
    browser.press("Enter")
    if waits:
        browser.wait(f"{IS_DONE} && {LAST}")


def texts(selector):
    return browser.evaluate(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)")


# ---- With a model ----


@check("a question by keyboard alone is answered")
def _():
    browser.open(server)
    assert browser.evaluate("document.activeElement.id") == "input"
    assert browser.evaluate("document.getElementById('model').options.length") == 1
    browser.picture(pictures / "empty.png")
    browser.type("What is 17 + 25?")
    browser.press("Enter")
    browser.wait(f"{IS_DONE} && {LAST}?.textContent.includes('42')")
    note = browser.evaluate("document.querySelector('.speed').textContent")
    assert "tokens" in note and "per second" in note, note
    assert browser.evaluate("document.activeElement.id") == "input"


@check("a second turn reuses the first")
def _():
    ask("What is 30 + 12?")
    assert "42" in browser.evaluate(LAST + ".textContent")
    notes = texts(".speed")
    assert "prompt tokens reused" in notes[-1], notes
    browser.picture(pictures / "model.png")


# ---- With made-up answers ----


@check("an answer streams, and Escape stops it")
def _():
    browser.open(stub.url)
    ask("slow", waits=False)
    browser.wait(f"{LAST}?.textContent.includes('word 3')")
    before = browser.evaluate(LAST + ".textContent.length")
    browser.wait(f"{LAST}.textContent.length > {before} && !{IS_DONE}")
    browser.picture(pictures / "streaming.png")
    browser.press("Escape")
    browser.wait(IS_DONE)
    assert stub.left.wait(10), "the server was not told"
    assert "stopped" in texts(".speed")[-1]
    length = browser.evaluate(LAST + ".textContent.length")
    assert 0 < length < 400 * 6
    assert browser.evaluate(LAST + ".textContent.length") == length


@check("the Stop button stops as well")
def _():
    stub.left.clear()
    browser.press("O", shift=True, control=True)
    ask("slow", waits=False)
    browser.wait(f"{LAST}?.textContent.includes('word 2')")
    browser.click("#stop")
    browser.wait(IS_DONE)
    assert stub.left.wait(10)


@check("Regenerate asks the same again and replaces the answer")
def _():
    browser.click("#new")
    ask("hello")
    first, count = browser.evaluate(LAST + ".textContent"), len(stub.asked)
    browser.click("button", "Regenerate")
    browser.wait(f"{IS_DONE} && {LAST}?.textContent !== {first!r} && {LAST}?.textContent")
    assert len(stub.asked) == count + 1
    assert stub.asked[-1]["messages"] == stub.asked[-2]["messages"] == [{"role": "user", "content": "hello"}]
    assert len(texts(".message.assistant")) == 1


@check("an edited question drops what followed it")
def _():
    ask("and then")
    assert [one["role"] for one in stub.asked[-1]["messages"]] == ["user", "assistant", "user"]
    browser.click(".message.user button", "Edit")
    browser.wait("document.activeElement.closest('.editor')")
    browser.picture(pictures / "editing.png")
    browser.evaluate("document.activeElement.select()")
    browser.type("goodbye")
    browser.press("Enter")
    browser.wait(f"{IS_DONE} && {LAST}?.textContent.includes('goodbye')")
    assert stub.asked[-1]["messages"] == [{"role": "user", "content": "goodbye"}]
    assert len(texts(".message")) == 2


@check("Escape leaves an edit as it was")
def _():
    browser.click(".message.user button", "Edit")
    browser.wait("document.activeElement.closest('.editor')")
    browser.type("something else")
    browser.press("Escape")
    browser.wait("!document.querySelector('.editor')")
    assert browser.evaluate("document.querySelector('.message.user .body').textContent") == "goodbye"


@check("Markdown and code become what they mean, and nothing in them runs")
def _():
    browser.click("#new")
    ask("markdown")
    has = lambda selector: browser.evaluate(f"!!{LAST}.querySelector({selector!r})")  # noqa: E731
    for selector in ("h1", "strong", "em", "p code", "a[href='https://example.org/a']", "ol > li ul > li", "blockquote",
                     "td", "pre code"):
        assert has(selector), selector
    assert browser.evaluate(LAST + ".querySelector('pre code').textContent") == (
        "let answer = 6 * 7 // <b>not bold</b>"
    )
    assert not has("img") and not has("pre b") and not browser.evaluate("window.isBroken")
    browser.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    browser.click(".block .copy")
    browser.wait("window.copied")
    assert "6 * 7" in browser.evaluate("window.copied")
    browser.evaluate("document.getElementById('log').scrollTop = 0")
    browser.picture(pictures / "markdown.png")


@check("a thought is folded and can be opened")
def _():
    browser.click("#new")
    ask("think", waits=False)
    browser.wait(f"{LAST}?.querySelector('details.thought summary')?.textContent.includes('Thinking')")
    browser.wait(f"{IS_DONE} && {LAST}?.textContent.includes('42')")
    assert browser.evaluate(LAST + ".querySelector('details.thought').open") is False
    browser.click("details.thought summary")
    browser.wait(LAST + ".querySelector('details.thought').open")
    assert "six times seven" in browser.evaluate(LAST + ".querySelector('details.thought').innerText")
    browser.picture(pictures / "thought.png")
    ask("what was it")
    assert "six times" not in str(stub.asked[-1]["messages"]), "thoughts do not go back"


@check("settings and the system prompt reach the server and stay")
def _():
    browser.press(",", control=True)
    browser.wait("document.getElementById('dialog').open")
    fields = {"system": "Be brief.", "temperature": "0.3", "top_p": "0.9", "top_k": "12", "min_p": "0.02",
              "repeat_penalty": "1.1", "max_tokens": "55", "seed": "7", "key": "secret"}
    for name, value in fields.items():
        browser.evaluate(f"document.querySelector('#dialog [name={name}]').focus()")
        browser.type(value)
    browser.picture(pictures / "settings.png")
    browser.click("#dialog button", "Save")
    browser.wait("!document.getElementById('dialog').open")
    browser.evaluate(
        "document.getElementById('model').value = 'second'; "
        "document.getElementById('model').dispatchEvent(new Event('change'))")
    for _ in range(2):
        browser.click("#new")
        ask("with settings")
        body = stub.asked[-1]
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}, body
        for name in ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "seed"):
            assert body[name] == float(fields[name]), name
        assert body["model"] == "second" and body["stream"] is True
        assert stub.keys[-1] == "Bearer secret"
        browser.reload()
        browser.wait("document.getElementById('model').value === 'second'")


@check("conversations are kept, opened and deleted")
def _():
    titles = texts("#list .open")
    assert "markdown" in titles and "think" in titles and "goodbye" not in titles, titles
    browser.click("#list .open", "markdown")
    browser.wait("document.querySelector('.message.assistant table')")
    count = len(titles)
    browser.click("#list li.current button[title=Delete]")
    browser.wait(f"document.querySelectorAll('#list li').length === {count - 1}")
    browser.reload()
    assert "markdown" not in texts("#list .open")


@check("Shift+Enter starts a line")
def _():
    browser.evaluate("document.getElementById('input').focus()")
    browser.type("one")
    browser.press("Enter", shift=True)
    browser.type("two")
    assert browser.evaluate("document.getElementById('input').value") == "one\ntwo"
    browser.press("Enter")
    browser.wait(f"{IS_DONE} && {LAST}")
    assert stub.asked[-1]["messages"][-1]["content"] == "one\ntwo"


@check("Tab reaches everything")
def _():
    browser.evaluate("document.getElementById('input').focus()")
    seen = set()
    for _ in range(40):
        browser.press("Tab")
        seen.add(browser.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"input", "send", "model", "settings", "new", "Regenerate", "Edit", "Copy"} <= seen, seen


@check("an error is shown in words and the question can be asked again")
def _():
    browser.click("#new")
    ask("fail")
    browser.events.clear()  # The browser writes of every status that is an error.
    assert "64 requests wait" in browser.evaluate("document.querySelector('.error').textContent")
    browser.picture(pictures / "error.png")
    assert browser.evaluate("[...document.querySelectorAll('button')].some((one) => one.textContent === 'Regenerate')")


@check("a phone: nothing is wider than the screen, the list opens over the page")
def _():
    browser.screen(375, 667, is_phone=True)
    browser.click("#new") if browser.evaluate("document.body.classList.contains('menu')") else None
    browser.reload()
    ask("markdown")
    fits = "document.documentElement.scrollWidth <= 375 && document.getElementById('log').scrollWidth <= 375"
    assert browser.evaluate(fits)
    browser.evaluate("document.getElementById('log').scrollTop = 0")
    browser.picture(pictures / "phone.png")
    browser.click("#menu")
    browser.wait("document.getElementById('side').getBoundingClientRect().x === 0")
    browser.picture(pictures / "phone-list.png")
    browser.click("#list .open", "think")
    browser.wait("document.getElementById('side').getBoundingClientRect().right <= 0")
    assert "42" in browser.evaluate("document.querySelector('.message.assistant .body').textContent")
    browser.click("#settings")
    browser.wait("document.getElementById('dialog').open")
    box = browser.evaluate("(({ left, right }) => [left, right])(document.getElementById('dialog').getBoundingClientRect())")
    assert 0 <= box[0] and box[1] <= 375, box
    browser.picture(pictures / "phone-settings.png")
    browser.press("Escape")


@check("dark, and everything deleted")
def _():
    browser.screen(1200, 800)
    browser.is_dark(True)
    browser.reload()
    browser.click("#list .open", "think")
    browser.picture(pictures / "dark.png")
    browser.click("#clear")
    browser.wait("document.querySelectorAll('#list li').length === 0")


browser.close()
stub.shutdown()
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
