"""A server with a page and answers that are made up: slow ones, thoughts, Markdown, errors. It keeps what it was asked."""

import http.server
import json
import pathlib
import threading
import time

MARKDOWN = (pathlib.Path(__file__).parent / "markdown.md").read_text()
MODELS = [
    {"id": "first", "context_length": 4096, "capabilities": ["completion", "thinking"]},
    {"id": "second", "context_length": 8192, "capabilities": ["completion"]},
    {"id": "encoder", "context_length": 512, "capabilities": ["embedding"]},
]


class Stub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, page, headers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page
        self.page_headers = headers
        self.asked = []
        self.keys = []
        self.left = threading.Event()
        # "gone": every request but for the page ends without a reply. "key": "secret" is wanted.
        self.mode = ""
        self.models = MODELS
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass

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

    def fail(self, status, message, code=None):
        self.reply(status, json.dumps({"error": {"message": message, "code": code}}).encode())

    def is_refused(self):
        if self.server.mode == "gone":
            self.close_connection = True
            return True
        if self.server.mode == "key" and self.headers.get("Authorization") != "Bearer secret":
            self.fail(401, "an API key is needed")
            return True
        return False

    def do_GET(self):
        if self.path != "/v1/models":
            return self.reply(200, self.server.page, "text/html; charset=utf-8", self.server.page_headers)
        if not self.is_refused():
            self.reply(200, json.dumps({"data": self.server.models}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.is_refused():
            return
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        question = body["messages"][-1]["content"]
        if question == "fail":
            return self.fail(503, "the server is busy: 64 requests wait already")
        if question.startswith("full") and len(body["messages"]) > 3:
            return self.fail(
                400, "the prompt has 5000 tokens; the context of 4096 tokens holds 4095", "context_length_exceeded"
            )
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for delta, pause in self.deltas(question, len(self.server.asked), body):
                time.sleep(pause)
                if self.server.mode == "gone":
                    self.close_connection = True
                    return
                self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            finish = "length" if question == "cut" else "stop"
            self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
            usage = {"prompt_tokens": 20, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 8}}
            if question == "long":
                usage["prompt_tokens"] = 3584
            self.event({"choices": [], "usage": usage})
            self.chunk(b"data: [DONE]\n\n")
            self.chunk(b"")
        except OSError:
            self.server.left.set()

    def deltas(self, question, number, body):
        if body.get("continue_final_message"):
            return [({"content": text}, 0.01) for text in (" and", " its", " end.")]
        if question == "cut":
            return [({"content": "The beginning"}, 0.01)]
        if question.startswith("slow"):
            return [({"content": f"{question[4:]} word {index} "}, 0.03) for index in range(400)]
        if question == "brief":
            return [({"content": f"part {index} "}, 0.1) for index in range(12)]
        if question == "think":
            thought = [({"reasoning_content": text}, 0.05) for text in ("Let me ", "see: ", "six times seven.")]
            return thought + [({"content": "It is 42."}, 0.3)]
        if question == "markdown":
            return [({"content": MARKDOWN[start:start + 7]}, 0.0005) for start in range(0, len(MARKDOWN), 7)]
        if question.startswith("echo "):
            return [({"content": question[5:]}, 0)]
        return [({"content": f"Answer {number} to: {question}"}, 0)]

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()
