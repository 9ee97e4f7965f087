"""What the checks of the page share: a browser, a made-up server, and one line for each check."""

import json
import pathlib
import traceback


class Harness:
    LAST = "document.querySelector('.message.assistant:last-of-type .body')"
    IS_DONE = "document.getElementById('stop').hidden"

    def __init__(self, browser, stub, pictures):
        self.browser, self.stub = browser, stub
        self.pictures = pathlib.Path(pictures)
        self.passed = self.failed = 0

    def check(self, name, may_complain=False):
        """Runs what it decorates. `may_complain`: the browser may write errors, of a server that is gone for example."""

        def run(function):
            try:
                function()
                complaints = self.browser.complaints()
                self.browser.events.clear()
                assert may_complain or not complaints, complaints
                self.passed += 1
                print("ok     ", name, flush=True)
            except Exception as error:  # noqa: BLE001 - every failure is reported, whatever it is
                self.failed += 1
                line = traceback.extract_tb(error.__traceback__)[:2][-1]
                print("FAILED ", name, "- line", line.lineno, type(error).__name__, str(error)[:400], flush=True)
                self.picture(f"failed-{self.failed}")
                self.browser.events.clear()

        return run

    def ask(self, text, waits=True):
        self.browser.evaluate("document.getElementById('input').focus()")
        self.browser.type(text)
        self.browser.press("Enter")
        if waits:
            self.browser.wait(f"{self.IS_DONE} && {self.LAST}")

    def texts(self, selector):
        return self.browser.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)")

    def last(self):
        return self.browser.evaluate(self.LAST + ".textContent")

    def picture(self, name):
        self.browser.picture(self.pictures / f"{name}.png")
