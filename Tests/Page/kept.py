"""Nothing that was typed or answered is lost: by reloading, closing, deleting, or in another tab."""

import json


def run(harness):
    browser, stub, check, ask, texts = harness.browser, harness.stub, harness.check, harness.ask, harness.texts
    LAST, IS_DONE = harness.LAST, harness.IS_DONE

    @check("a reload in the middle of an answer keeps the question and what there is")
    def _():
        browser.click("#new")
        ask("slow reload", waits=False)
        browser.wait(f"{LAST}?.textContent.includes('word 5')")
        browser.reload()
        assert texts(".message.user .body") == ["slow reload"]
        assert "word 4" in harness.last(), harness.last()
        assert "interrupted" in texts(".message.assistant .speed"), texts(".speed")
        browser.click("button", "Continue")
        browser.wait(f"{IS_DONE} && {LAST}.textContent.endsWith('and its end.')")
        assert stub.asked[-1]["continue_final_message"] is True
        assert stub.asked[-1]["messages"][-1]["role"] == "assistant"

    @check("a reload directly behind Enter keeps the question")
    def _():
        browser.click("#new")
        browser.type("slow at once")
        browser.press("Enter")
        browser.reload()
        assert texts(".message.user .body") == ["slow at once"]

    @check("an answer that was cut at the limit is continued")
    def _():
        browser.click("#new")
        ask("cut")
        assert "cut at the limit" in texts(".speed")[-1]
        browser.click("button", "Continue")
        browser.wait(f"{IS_DONE} && {LAST}.textContent === 'The beginning and its end.'")
        assert len(texts(".message")) == 2

    @check("what is typed outlives a reload, in each chat by itself")
    def _():
        browser.type("half a thought")
        browser.click("#new")
        browser.wait("document.getElementById('input').value === ''")
        browser.type("another")
        browser.reload()
        assert browser.evaluate("document.getElementById('input').value") == "another"
        browser.click("#list .open", "cut")
        browser.wait("document.getElementById('input').value === 'half a thought'")
        browser.evaluate("document.getElementById('input').select()")
        browser.type(" ")
        browser.click("#new")
        browser.wait("document.getElementById('input').value === 'another'")
        browser.evaluate("document.getElementById('input').select()")
        browser.press("Enter")
        browser.wait(f"{IS_DONE} && {LAST}")

    @check("several chats are answered at a time")
    def _():
        browser.click("#new")
        ask("slow one", waits=False)
        browser.wait(f"{LAST}?.textContent.includes('one word 2')")
        browser.click("#new")
        ask("slow two", waits=False)
        browser.wait(f"{LAST}?.textContent.includes('two word 2')")
        assert browser.evaluate("document.querySelectorAll('.dot.busy').length") == 2
        harness.picture("two-chats")
        browser.click("#new")
        ask("brief")
        browser.click("#list .open", "slow one")
        browser.wait(f"{LAST}?.textContent.includes('one word 12') && !{IS_DONE}")
        browser.click("#stop")
        browser.wait(IS_DONE)
        assert "two" not in harness.last()
        browser.click("#list .open", "slow two")
        browser.wait(f"{LAST}?.textContent.includes('two word 15') && !{IS_DONE}")
        browser.press("Escape")
        browser.wait(IS_DONE)

    @check("two tabs add to each other")
    def _():
        first = browser.session
        browser.open(stub.url)
        browser.click("#new")
        ask("in A")
        address = browser.evaluate("location.href")
        second = browser.tab()
        try:
            browser.use(second)
            browser.open(address)
            assert texts(".message.user .body") == ["in A"]
            browser.click("#new")
            ask("in B")
            browser.use(first)
            browser.wait("[...document.querySelectorAll('#list .open')].some((one) => one.textContent === 'in B')")
            # The same chat in both.
            browser.use(second)
            browser.click("#list .open", "in A")
            browser.wait(f"{LAST}")
            browser.use(first)
            ask("more from A")
            browser.use(second)
            browser.wait("document.querySelectorAll('.message').length === 4")
            ask("more from B")
            assert [one["content"] for one in stub.asked[-1]["messages"] if one["role"] == "user"] == [
                "in A", "more from A", "more from B"]
            browser.use(first)
            browser.wait("document.querySelectorAll('.message').length === 6")
            # An answer that comes in one is seen in the other.
            ask("brief", waits=False)
            browser.use(second)
            browser.wait(f"{LAST}?.textContent.includes('part 3')")
            browser.use(first)
            browser.wait(IS_DONE)
        finally:
            browser.use(first)
            for session in (second,):
                browser.session = session
                browser.call("Page.close")
            browser.session = first
        browser.reload()
        titles = texts("#list .open")
        assert "in A" in titles and "in B" in titles, titles
        assert len(texts(".message")) == 8

    @check("the list of an older page is taken over")
    def _():
        browser.evaluate("""localStorage.setItem('infer.chats', JSON.stringify([{ title: 'old times',
            messages: [{ role: 'user', content: 'before' }, { role: 'assistant', content: 'long ago', note: '2 tokens' }] }]))""")
        browser.reload()
        browser.click("#list .open", "old times")
        browser.wait(f"{LAST}?.textContent === 'long ago'")
        assert browser.evaluate("localStorage.getItem('infer.chats')") is None

    @check("renamed, pinned, found by name and by content")
    def _():
        browser.click("#list li.current button[title=Rename]")
        browser.wait("document.activeElement.className === 'rename'")
        browser.type("history")
        browser.press("Enter")
        browser.wait("document.querySelector('#list li.current .open').textContent === 'history'")
        browser.click("#list li.current button[title=Pin]")
        browser.wait("document.querySelector('#list .group').textContent === 'Pinned'")
        browser.reload()
        assert texts("#list .open")[0] == "history"
        browser.press("k", control=True)
        browser.wait("document.activeElement.id === 'search'")
        browser.type("long ago")
        browser.wait("document.querySelectorAll('#list .open').length === 1")
        assert texts("#list .open") == ["history"]
        harness.picture("search")
        browser.press("Escape")
        browser.wait("document.querySelectorAll('#list .open').length > 3")

    @check("exported and imported chats are the same, with all branches")
    def _():
        # Instead of a download.
        browser.evaluate("""(() => { HTMLAnchorElement.prototype.click = () => {};
            URL.createObjectURL = (blob) => { blob.text().then((text) => { window.exported = text; }); return '#'; }; })()""")
        browser.click("#export")
        text = browser.wait("window.exported")
        exported = json.loads(text)
        assert exported["format"] == "infer chats" and len(exported["chats"]) == len(texts("#list .open"))
        count = len(exported["chats"])
        browser.click("#clear")
        browser.wait("document.querySelectorAll('#list .open').length === 0")
        path = harness.pictures / "chats.json"
        path.write_text(text)
        browser.give("#importer", path)
        browser.wait(f"document.querySelectorAll('#list .open').length === {count}")
        browser.click("#list .open", "history")
        browser.wait(f"{LAST}?.textContent === 'long ago'")
        # Twice the same file adds nothing; a plain list of messages is a chat.
        browser.give("#importer", path)
        browser.wait("[...document.querySelectorAll('.toast')].length > 1")
        assert len(texts("#list .open")) == count
        path.write_text('[{"role": "user", "content": "from elsewhere"}, {"role": "assistant", "content": "yes"}]')
        browser.give("#importer", path)
        browser.wait(f"document.querySelectorAll('#list .open').length === {count + 1}")
        path.write_text("nonsense")
        browser.give("#importer", path)
        browser.wait("[...document.querySelectorAll('.toast')].some((one) => one.textContent.includes('cannot be imported'))")

    @check("a browser without room for more says so and loses nothing on the page")
    def _():
        browser.evaluate("""(() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); };
            IDBObjectStore.prototype.put = () => { throw new DOMException('', 'QuotaExceededError'); }; })()""")
        browser.click("#new")
        ask("no room")
        browser.wait("[...document.querySelectorAll('.toast')].some((one) => one.textContent.includes('could not be kept'))")
        assert "no room" in harness.last()
        browser.reload()
