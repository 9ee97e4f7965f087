"""A server with a page and answers that are made up: slow ones, thoughts, Markdown, errors. It keeps what it was asked."""

import http.server
import json
import threading
import time

MARKDOWN = """# Plan

Some **bold**, *slanted* and `inline` text with a [link](https://example.org/a).

1. First
2. Second
   - inner

> quoted

| name | value |
| --- | ---: |
| a | 1 |

```swift
let answer = 6 * 7 // <b>not bold</b>
```

<img src=x onerror="window.isBroken = true"> & done.
"""


class Stub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, page, headers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page
        self.page_headers = headers
        self.asked = []
        self.keys = []
        self.left = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/v1/models":
            self.reply(200, json.dumps({"data": [{"id": "first"}, {"id": "second"}]}).encode())
        else:
            self.reply(200, self.server.page, "text/html; charset=utf-8", self.server.page_headers)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        question = body["messages"][-1]["content"]
        if question == "fail":
            error = {"error": {"message": "the server is busy: 64 requests wait already"}}
            return self.reply(503, json.dumps(error).encode())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for delta, pause in self.deltas(question, len(self.server.asked)):
                time.sleep(pause)
                self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            usage = {"prompt_tokens": 20, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 8}}
            self.event({"choices": [], "usage": usage})
            self.chunk(b"data: [DONE]\n\n")
            self.chunk(b"")
        except OSError:
            self.server.left.set()

    def deltas(self, question, number):
        if question == "slow":
            return [({"content": f"word {index} "}, 0.03) for index in range(400)]
        if question == "think":
            thought = [({"reasoning_content": text}, 0.05) for text in ("Let me ", "see: ", "six times seven.")]
            return thought + [({"content": "It is 42."}, 0.3)]
        if question == "markdown":
            return [({"content": MARKDOWN[start:start + 7]}, 0.002) for start in range(0, len(MARKDOWN), 7)]
        return [({"content": f"Answer {number} to: {question}"}, 0)]

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()
