"""How what models write is shown, and how it is read with keys, files and screen readers."""

import json
import pathlib
import tempfile


def run(harness):
    browser, stub, check, ask, texts = harness.browser, harness.stub, harness.check, harness.ask, harness.texts
    LAST, IS_DONE = harness.LAST, harness.IS_DONE

    def has(selector):
        return browser.evaluate(f"!!{LAST}.querySelector({selector!r})")

    def text(selector):
        return browser.evaluate(f"{LAST}.querySelector({selector!r}).textContent")

    @check("Markdown becomes what it means on GitHub, and nothing in it runs")
    def _():
        browser.open(stub.url)
        browser.click("#new")
        ask("markdown")
        for selector in (
            "h1", "strong", "em", "del", "p code", "a[href='https://example.org/a']", "a[href='https://example.org/b_c_d']",
            "ol > li ul > li", "blockquote.alert", "td br", "sub", "pre code", "li.task input:checked",
            "li.task input:not(:checked)", "a[href='https://example.org/p.png']", "sup", ".notes li",
        ):
            assert has(selector), selector
        assert text("p").count("*stars*") == 1 and "2*3*4, snake_case_names, $5 and $10." in text("p"), text("p")
        assert browser.evaluate(LAST + ".querySelectorAll('ol:not(.notes)').length") == 1, "the list goes on behind the code"
        assert browser.evaluate(LAST + ".querySelectorAll('ol:not(.notes) > li').length") == 4
        assert not has("img") and not has("pre b") and not browser.evaluate("window.isBroken")
        browser.evaluate("document.getElementById('log').scrollTop = 0")
        harness.picture("markdown")
        browser.evaluate("document.getElementById('log').scrollTop = 600")
        harness.picture("markdown-2")

    @check("tables keep their sides, bars in code and escaped bars")
    def _():
        rows = browser.evaluate(
            f"[...{LAST}.querySelectorAll('tr')].map((row) => [...row.children].map((cell) => cell.textContent))")
        assert rows == [["name", "value", "either | or"], ["a", "1", "x|y"], ["bc", "22", "*"]], rows
        sides = browser.evaluate(
            f"[...{LAST}.querySelectorAll('tbody tr:first-child td')].map((cell) => getComputedStyle(cell).textAlign)")
        assert sides == ["left", "right", "center"], sides

    @check("code is coloured, and copied without the list's indentation")
    def _():
        assert text("pre code") == "def area(r):  # of a circle\n    return 3.14 * r ** 2"
        for selector in ("pre .k-keyword", "pre .k-comment", "pre .k-number", "pre .k-name"):
            assert has(selector), selector
        browser.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        browser.click(".block .copy")
        browser.wait("window.copied")
        assert browser.evaluate("window.copied").startswith("def area(r):")
        assert browser.evaluate("document.querySelector('.block .copy').textContent") == "Copied"
        browser.wait("document.querySelector('.block .copy').textContent === 'Copy'")

    @check("formulas are MathML with a size")
    def _():
        assert browser.evaluate(LAST + ".querySelectorAll('math').length") == 4
        assert not has(".unread"), text(".unread")
        for selector in ("mfrac", "msqrt", "munderover", "mtable", "msubsup, msub", "mtext"):
            assert has(f"math {selector}"), selector
        height = "getBoundingClientRect().height"
        assert browser.evaluate(f"{LAST}.querySelector('math[display=block] mfrac').{height}") > 25

    @check("Markdown, formulas and code, case by case")
    def _():
        cases = json.loads((pathlib.Path(__file__).parent / "cases.json").read_text())
        browser.evaluate("""window.shown = (one) => {
          if (typeof one === 'string') return one.replace(/&/g, '&amp;').replace(/</g, '&lt;');
          if (one.tag === 'semantics') return shown(one.kids[0]);
          const attributes = ['href', 'start', 'class', 'checked'].filter((name) => name in one.attributes)
            .map((name) => ` ${name}="${one.attributes[name]}"`).join('');
          return `<${one.tag}${attributes}>${one.kids.map(shown).join('')}</${one.tag}>`;
        }""")
        wrong = []
        for source, wanted in cases["markdown"]:
            found = browser.evaluate(f"markdown({json.dumps(source)}).map((one) => shown(one.node)).join('')")
            wrong += [] if found == wanted else [(source, found, wanted)]
        for source, wanted in cases["formulas"]:
            found = browser.evaluate(f"shown(mathNode({json.dumps(source)}, true))")
            wrong += [] if found == wanted else [(source, found, wanted)]
        for language, source, wanted in cases["code"]:
            found = browser.evaluate(f"highlight({json.dumps(source)}, {json.dumps(language)}).map(shown).join('')")
            wrong += [] if found == wanted else [(source, found, wanted)]
        assert not wrong, wrong

    @check("hostile text takes no long time")
    def _():
        for text, count in (
            ("[", 50_000), ("*a ", 20_000), ("> ", 5000), ("`` ` ", 5000), ("- ", 3000), ("$", 20_000), ("<b>", 10_000),
            ("![", 20_000), ("[a](", 20_000), ("|a", 5000), ("\\[", 20_000), ("<details>\n", 3000), ("a\n$$\n", 3000),
            ("$${", 3000), ("_a", 20_000), ("https://a", 5000), ("1. a\n", 5000), ("$\\frac", 3000), ("```js\n/*", 5000),
        ):
            took = browser.evaluate(
                f"(() => {{ const start = performance.now(); markdown({json.dumps(text)}.repeat({count}))"
                ".forEach((one) => one.node); return performance.now() - start; })()")
            assert took < 3000, (text, took)

    @check("what is selected in an answer stays selected while more comes")
    def _():
        browser.click("#new")
        ask("slow", waits=False)
        browser.wait(f"{LAST}?.textContent.includes('word 3')")
        browser.evaluate(
            f"(() => {{ const range = document.createRange(); const node = {LAST}.querySelector('p').firstChild; "
            "range.setStart(node, 1); range.setEnd(node, 7); getSelection().removeAllRanges(); "
            "getSelection().addRange(range); })()")
        before = browser.evaluate("getSelection().toString()")
        assert len(before) == 6
        browser.wait(f"{LAST}.textContent.includes('word 20 ')")
        assert browser.evaluate("getSelection().toString()") == before
        browser.press("Escape")
        browser.wait(IS_DONE)
        assert browser.evaluate("getSelection().toString()") == before

    @check("who scrolls up is left there, and a button leads down")
    def _():
        browser.click("#list .open", "markdown")
        browser.wait("document.querySelector('.message.assistant table')")
        ask("brief", waits=False)
        browser.wait(f"{LAST}?.textContent.includes('part 2')")
        browser.evaluate("document.getElementById('log').scrollTop = 100")
        browser.wait(IS_DONE)
        assert browser.evaluate("document.getElementById('log').scrollTop") == 100
        browser.click("#down")
        browser.wait("document.getElementById('down').hidden")

    @check("text files go with a question, other files are refused in words")
    def _():
        browser.click("#new")
        with tempfile.TemporaryDirectory() as folder:
            note, picture = pathlib.Path(folder) / "note.txt", pathlib.Path(folder) / "picture.png"
            note.write_text("The code is 4711. ```fence```\n")
            picture.write_bytes(b"\x89PNG\0\0")
            browser.give("#picker", note, picture)
            browser.wait("document.querySelectorAll('.file').length === 1 && document.querySelector('.toast')")
            assert "picture.png is no text" in texts(".toast")[-1]
            harness.picture("attached")
        ask("what is the code")
        sent = stub.asked[-1]["messages"][-1]["content"]
        assert sent == "what is the code\n\nnote.txt:\n````\nThe code is 4711. ```fence```\n````", sent
        assert texts(".file") == [] and "note.txt" in texts(".attached summary")[0]
        browser.reload()
        assert "note.txt" in texts(".attached summary")[0]

    @check("one's own messages as Markdown, if one wants it")
    def _():
        browser.click("#new")
        ask("echo **x**")
        assert texts(".message.user .body") == ["echo **x**"]
        browser.click("#settings")
        browser.evaluate("document.querySelector('[name=plain]').click()")
        browser.click("#dialog button", "Save")
        browser.wait("document.querySelector('.message.user strong')")
        browser.click("#settings")
        browser.evaluate("document.querySelector('[name=plain]').click()")
        browser.click("#dialog button", "Save")
        browser.wait("!document.querySelector('.message.user strong')")

    @check("everything that can be done has a name, and places have landmarks")
    def _():
        browser.click("#list .open", "markdown")
        browser.wait("document.querySelector('.message.assistant table')")
        nameless = browser.evaluate("""[...document.querySelectorAll('button, input, select, textarea, meter')]
            .filter((one) => !(one.getAttribute('aria-label') || one.labels?.length || one.textContent.trim()))
            .map((one) => one.outerHTML.slice(0, 100))""")
        assert nameless == [], nameless
        focusless = browser.evaluate("""[...document.querySelectorAll('*')].filter((one) => one.tabIndex < 0
            && /auto|scroll/.test(getComputedStyle(one).overflowX + getComputedStyle(one).overflowY)
            && (one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight)).map((one) => one.outerHTML.slice(0, 80))
            .filter((text) => !text.startsWith('<ul id="list"') && !text.startsWith('<html'))""")
        assert focusless == [], focusless
        assert browser.evaluate("document.querySelectorAll('main').length") == 1
        assert browser.evaluate("document.querySelector('main').contains(document.getElementById('input'))")
        assert browser.evaluate("document.querySelectorAll('h1.unseen').length") == 1
        assert not browser.evaluate("document.getElementById('log').hasAttribute('aria-live')")
