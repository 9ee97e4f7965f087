"""The page at `/` in headless Chromium: python page.py SERVER_URL CHROMIUM FOLDER_FOR_PICTURES

First with a running server and its model, then with made-up answers (stub.py) for what a small fast model cannot show:
a stop in the middle, thoughts, Markdown, errors. Prints one line per check and a closing line `N passed, N failed`.
With `sources` instead of an address the page is put together from its sources, and only the second part runs.
"""

import pathlib
import sys
import urllib.request

import assemble
import kept
import states
import written
from browser import Browser
from harness import Harness
from stub import Stub

address, chromium, pictures = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
pictures.mkdir(parents=True, exist_ok=True)
if address == "sources":
    server, page, policy = None, assemble.assemble().encode(), assemble.policy()
else:
    server = address.rstrip("/") + "/"
    reply = urllib.request.urlopen(urllib.request.Request(server, headers={"Accept": "text/html"}), timeout=30)
    page, policy = reply.read(), reply.headers["Content-Security-Policy"]
    assert page == assemble.assemble().encode(), "the program has another page than its sources: build it"
stub = Stub(page, [("Content-Security-Policy", policy)])
browser = Browser(chromium)
browser.screen(1200, 800)
harness = Harness(browser, stub, pictures)
check, ask, texts, LAST, IS_DONE = harness.check, harness.ask, harness.texts, harness.LAST, harness.IS_DONE


# ---- With a model ----


def with_model():
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


if server:
    with_model()


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


@check("Regenerate asks the same again; both answers stay, with arrows between them")
def _():
    browser.click("#new")
    ask("hello")
    first, count = browser.evaluate(LAST + ".textContent"), len(stub.asked)
    browser.click("button", "Regenerate")
    browser.wait(f"{IS_DONE} && {LAST}?.textContent !== {first!r} && {LAST}?.textContent")
    assert len(stub.asked) == count + 1
    assert stub.asked[-1]["messages"] == stub.asked[-2]["messages"] == [{"role": "user", "content": "hello"}]
    assert len(texts(".message.assistant")) == 1
    second = browser.evaluate(LAST + ".textContent")
    assert texts(".message.assistant .branches > span") == ["2/2"]
    browser.click(".message.assistant .turn", "‹")
    browser.wait(f"{LAST}.textContent === {first!r}")
    assert texts(".message.assistant .branches > span") == ["1/2"]
    browser.click(".message.assistant .turn", "›")
    browser.wait(f"{LAST}.textContent === {second!r}")


@check("an edited question begins a branch; what followed the old one stays")
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
    browser.click(".message.user .turn", "‹")
    browser.wait("document.querySelectorAll('.message').length === 4")
    assert texts(".message.user .body") == ["hello", "and then"]
    browser.click(".message.user .turn", "›")
    browser.wait("document.querySelectorAll('.message').length === 2")


@check("Escape leaves an edit as it was")
def _():
    browser.click(".message.user button", "Edit")
    browser.wait("document.activeElement.closest('.editor')")
    browser.type("something else")
    browser.press("Escape")
    browser.wait("!document.querySelector('.editor')")
    assert browser.evaluate("document.querySelector('.message.user .body').textContent") == "goodbye"


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
    browser.select("#model", "second")
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


@check("conversations are kept, opened and deleted, and deleting can be taken back")
def _():
    titles = texts("#list .open")
    assert "slow" in titles and "think" in titles, titles
    browser.click("#list .open", "think")
    browser.wait("document.querySelector('details.thought')")
    count = len(titles)
    browser.click("#list li.current button[title=Delete]")
    browser.wait(f"document.querySelectorAll('#list .open').length === {count - 1}")
    browser.click(".toast button", "Undo")
    browser.wait(f"document.querySelectorAll('#list .open').length === {count}")
    browser.wait("document.querySelector('details.thought')")
    browser.click("#list li.current button[title=Delete]")
    browser.wait(f"document.querySelectorAll('#list .open').length === {count - 1}")
    browser.reload()
    assert "think" not in texts("#list .open")
    # Later, too.
    browser.click("#trash")
    browser.wait("document.querySelector('#list .group').textContent.startsWith('Deleted')")
    assert texts("#list .open") == ["think"]
    browser.click("#list button", "Restore")
    browser.wait("[...document.querySelectorAll('#list .open')].length > 1")
    assert "think" in texts("#list .open") and browser.evaluate("document.getElementById('trash').hidden")
    browser.click("#list .open", "think")
    browser.wait("document.querySelector('details.thought')")
    browser.click("#list li.current button[title=Delete]")
    browser.wait(f"document.querySelectorAll('#list .open').length === {count - 1}")


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
    for _ in range(90):
        browser.press("Tab")
        seen.add(browser.evaluate("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 40)"))
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
    browser.evaluate("location.hash = ''")
    browser.reload()
    ask("markdown")
    fits = "document.documentElement.scrollWidth <= 375 && document.getElementById('log').scrollWidth <= 375"
    assert browser.evaluate(fits)
    browser.evaluate("document.getElementById('log').scrollTop = 0")
    browser.picture(pictures / "phone.png")
    browser.click("#menu")
    browser.wait("document.getElementById('side').getBoundingClientRect().x === 0")
    browser.picture(pictures / "phone-list.png")
    browser.click("#list .open", "hello")
    browser.wait("document.getElementById('side').getBoundingClientRect().right <= 0")
    assert "Answer" in browser.evaluate("document.querySelector('.message.assistant .body').textContent")
    browser.click("#settings")
    browser.wait("document.getElementById('dialog').open")
    box = browser.evaluate("(({ left, right }) => [left, right])(document.getElementById('dialog').getBoundingClientRect())")
    assert 0 <= box[0] and box[1] <= 375, box
    browser.picture(pictures / "phone-settings.png")
    browser.press("Escape")


browser.screen(1200, 800)
for part in (written, kept, states):
    part.run(harness)


@check("dark by the system, dark and light by choice, and everything deleted")
def _():
    background = "getComputedStyle(document.body).backgroundColor"
    browser.is_dark(True)
    browser.open(stub.url)
    dark = browser.evaluate(background)
    browser.click("#theme")
    light = browser.evaluate(background)
    assert dark != light == "rgb(255, 255, 255)", (dark, light)
    browser.reload()
    assert browser.evaluate(background) == light
    browser.click("#theme")
    assert browser.evaluate(background) == dark
    browser.is_dark(False)
    assert browser.evaluate(background) == dark
    browser.click("#list .open", "markdown")
    browser.wait("document.querySelector('.message.assistant table')")
    browser.evaluate("document.getElementById('log').scrollTop = 0")
    harness.picture("dark")
    browser.click("#clear")
    browser.wait("document.querySelectorAll('#list .open').length === 0")
    browser.click(".toast button", "Undo")
    browser.wait("document.querySelectorAll('#list .open').length > 3")
    browser.click("#clear")
    browser.reload()
    assert texts("#list .open") == []


browser.close()
stub.shutdown()
print(f"{harness.passed} passed, {harness.failed} failed")
sys.exit(1 if harness.failed else 0)
