import ChatTemplates
import Foundation
import Testing

@testable import InferCLI

struct TemplateDoorsTests {
    @Test(arguments: [
        (
            #"{"template": "{{ x }}{{ strftime_now('%Y') }}", "context": {"x": "é"}, "clock": "2025-07-04T12:30:45"}"#,
            #"{"text": "é2025"}"#
        ),
        (
            #"{"template": "{{ raise_exception('no') }}", "context": {}}"#,
            #"{"error": "no", "kind": "raise_exception"}"#
        ),
        (
            #"{"template": "{{", "context": {}}"#,
            #"{"error": "syntax: unexpected 'end of template' (template line 1)", "kind": "syntax"}"#
        ),
        (
            #"{"template": "", "clock": "noon"}"#,
            #"{"error": "the clock is not a time like 2025-07-04T12:30:45"}"#
        ),
    ])
    func template(_ request: String, _ reply: String) {
        #expect(TemplateDoor.reply(to: Data(request.utf8)).text(.spaced) == reply)
    }

    @Test(arguments: ["", "{", "[]", #"{"context": {}}"#]) func notARequest(_ request: String) {
        #expect(TemplateDoor.reply(to: Data(request.utf8))["error"] != nil)
        #expect(ToolCallsDoor.reply(to: Data(request.utf8))["error"] != nil)
    }

    private static let tools = #"[{"type": "function", "function": {"name": "f"}}]"#

    private func toolCalls(_ chunks: String, _ more: String = "") -> JSONValue {
        let request = """
            {"template": "<tool_call></tool_call><think></think>", "tools": \(Self.tools), "chunks": \(chunks)\(more)}
            """
        return ToolCallsDoor.reply(to: Data(request.utf8))
    }

    @Test func toolCalls() {
        let reply = toolCalls(
            #"["<think>a</th", "ink>b\n<tool", "_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>"]"#)
        let expected: JSONValue = [
            "content": "b", "reasoning_content": "a", "tool_calls": [["name": "f", "arguments": ["x": 1]]],
        ]
        #expect(reply == expected)
    }

    @Test func openThought() {
        let reply = toolCalls(#"["a</think>b"]"#, #", "generation_prompt": "<think>\n""#)
        #expect(reply["reasoning_content"] == "a")
        #expect(reply["content"] == "b")
    }

    @Test func malformedAndUnfinishedCalls() {
        let malformed = toolCalls(#"["<tool_call>{oops}</tool_call>"]"#)
        #expect(malformed["content"] == "<tool_call>{oops}</tool_call>")
        #expect(malformed["diagnostic"] != nil)
        let unfinished = toolCalls(#"["a<tool_call>{\"name\""]"#)
        #expect(unfinished["content"] == "a")
        #expect(unfinished["unfinished_call"] == "<tool_call>{\"name\"")
        let stopped = toolCalls(#"["a<tool_call>{\"name\""]"#, #", "finish_reason": "stop""#)
        #expect(stopped["content"] == "a<tool_call>{\"name\"")
    }
}
