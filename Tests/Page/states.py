"""What the page says when the server is gone, wants a key or cannot chat, and what can be set for one chat."""

from stub import MODELS


def run(harness):
    browser, stub, check, ask, texts = harness.browser, harness.stub, harness.check, harness.ask, harness.texts
    LAST, IS_DONE = harness.LAST, harness.IS_DONE

    @check("models that make embeddings are not offered")
    def _():
        browser.open(stub.url)
        assert texts("#model option") == ["first", "second"]

    @check("a switch for thinking, where the model thinks")
    def _():
        browser.click("#new")
        browser.select("#model", "first")
        browser.select("#thinking", "off")
        ask("quick")
        assert stub.asked[-1]["reasoning_effort"] == "none"
        browser.select("#thinking", "on")
        ask("slowly")
        assert stub.asked[-1]["chat_template_kwargs"] == {"enable_thinking": True}
        assert "reasoning_effort" not in stub.asked[-1]
        browser.select("#thinking", "")
        browser.select("#model", "second")
        assert browser.evaluate("document.getElementById('thinking').hidden")

    @check("settings of one chat, and parameters of one's own")
    def _():
        browser.click("#new")
        ask("first chat")
        browser.click("#settings")
        browser.select("[name=scope]", "chat")
        browser.evaluate("document.querySelector('#dialog [name=temperature]').value = '0.11'")
        browser.evaluate("document.querySelector('#dialog [name=more]').value = '{\"stop\": [\"END\"]'")
        browser.click("#dialog button", "Save")
        browser.wait("!document.getElementById('problem').hidden")
        browser.evaluate("document.querySelector('#dialog [name=more]').value = '{\"stop\": [\"END\"]}'")
        harness.picture("settings-chat")
        browser.click("#dialog button", "Save")
        browser.wait("!document.getElementById('dialog').open")
        ask("own")
        assert stub.asked[-1]["temperature"] == 0.11 and stub.asked[-1]["stop"] == ["END"]
        browser.click("#new")
        ask("other chat")
        assert stub.asked[-1]["temperature"] == 0.3 and "stop" not in stub.asked[-1]
        browser.reload()
        browser.click("#list .open", "first chat")
        ask("again")
        assert stub.asked[-1]["temperature"] == 0.11

    @check("each chat keeps its model")
    def _():
        browser.select("#model", "first")
        browser.click("#list .open", "other chat")
        browser.wait("document.getElementById('model').value === 'second'")
        browser.click("#list .open", "first chat")
        browser.wait("document.getElementById('model').value === 'first'")

    @check("how full the context is")
    def _():
        browser.click("#new")
        ask("long")
        browser.wait("!document.getElementById('gauge').hidden")
        assert texts("#used") == ["88 %"], texts("#used")
        harness.picture("gauge")

    @check("a conversation that no longer fits can leave out its older half", may_complain=True)
    def _():
        browser.click("#new")
        for question in ("one", "two", "three"):
            ask(question)
        ask("full")
        assert "outgrown" in texts(".message .error")[-1]
        harness.picture("full")
        before = len(stub.asked[-1]["messages"])
        browser.click(".error button", "Leave out the older half")
        browser.wait(f"{IS_DONE} && document.querySelector('.divider')")
        browser.wait(f"{len(stub.asked)} && true")
        assert len(stub.asked[-1]["messages"]) < before
        if texts(".message .error"):
            browser.click(".error button", "Leave out the older half")
            browser.wait(f"{IS_DONE} && !document.querySelector('.message .error')")
        assert "Answer" in harness.last()
        assert len(texts(".message")) == 8, "what is not sent is still there"
        harness.picture("left-out")

    @check("↑ edits the last question, and a half-done edit outlives a reload")
    def _():
        browser.evaluate("document.getElementById('input').focus()")
        browser.press("ArrowUp")
        browser.wait("document.activeElement.closest('.editor')")
        browser.type(" and more")
        browser.reload()
        browser.evaluate("document.getElementById('input').focus()")
        browser.press("ArrowUp")
        browser.wait("document.activeElement.closest('.editor')")
        assert browser.evaluate("document.activeElement.value").endswith("and more")
        browser.press("Escape")

    @check("a server that goes away in the middle of an answer", may_complain=True)
    def _():
        browser.click("#new")
        ask("slow and gone", waits=False)
        browser.wait(f"{LAST}?.textContent.includes('word 3')")
        stub.mode = "gone"
        browser.wait(f"{IS_DONE} && document.querySelector('.message .error')")
        assert "infer serve" in texts(".message .error")[-1] and "word 3" in harness.last()
        browser.wait("!document.getElementById('banner').hidden")
        assert "The server does not answer." in texts("#banner")[0]
        harness.picture("gone")
        ask("still there?", waits=False)
        browser.wait("document.querySelectorAll('.message .error').length === 2")
        stub.mode = ""
        browser.wait("document.getElementById('banner').hidden")
        browser.evaluate("[...document.querySelectorAll('.error button')].at(-1).click()")
        browser.wait(f"{IS_DONE} && {LAST}.textContent.includes('still there?')")
        sent = [one["role"] for one in stub.asked[-1]["messages"]]
        assert sent[-3:] == ["user", "assistant", "user"], "what there was of the answer is sent"

    @check("a server that wants a key", may_complain=True)
    def _():
        browser.evaluate("localStorage.removeItem('infer.settings')")
        stub.mode = "key"
        browser.reload()
        browser.wait("document.querySelector('#banner input[type=password]')")
        assert "API key" in texts("#banner")[0]
        harness.picture("key")
        ask("without")
        assert "key" in texts(".message .error")[-1]
        browser.evaluate("document.querySelector('#banner input').focus()")
        browser.type("secret")
        browser.press("Enter")
        browser.wait("document.getElementById('banner').hidden && document.querySelectorAll('#model option').length === 2")
        stub.mode = ""

    @check("a server whose models make embeddings only, and one without any")
    def _():
        stub.models = [MODELS[2]]
        browser.reload()
        assert "only has models that make embeddings (encoder)" in texts("#banner")[0]
        assert texts("#model option") == ["no model"]
        harness.picture("encoder")
        stub.models = []
        browser.reload()
        assert "has no model" in texts("#banner")[0]
        stub.models = MODELS
        browser.reload()
        assert browser.evaluate("document.getElementById('banner').hidden")
