import Testing

@testable import ChatTemplates

/// Calls as LFM2 writes them.
struct PythonCallTests {
    private static let tool: JSONValue = [
        "type": "function",
        "function": [
            "name": "f", "parameters": ["type": "object", "properties": ["a": ["type": "string"], "b": [:]]],
        ],
    ]

    private func read(_ output: String, isTruncated: Bool = false) -> ParsedOutput {
        let parser = OutputParser(syntax: OutputSyntax(template: "<|tool_list_start|>"), tools: [Self.tool])
        let bytes = Array(output.utf8)
        let whole = parse([bytes], parser, isTruncated: isTruncated)
        for place in 0...bytes.count {
            let halves = [Array(bytes[..<place]), Array(bytes[place...])]
            #expect(parse(halves, parser, isTruncated: isTruncated) == whole, "cut at \(place)")
        }
        return whole
    }

    private static let values: [(String, JSONValue)] = [
        ("a=\"x\", b=1", ["a": "x", "b": 1]), ("a='it\\'s', b=True", ["a": "it's", "b": true]),
        ("b=None", ["b": nil]), ("b=[1, 'a', (2.5,), {}]", ["b": [1, "a", [2.5], JSONValue.object(JSONObject())]]),
        ("b={\"k\": {'n': False}}", ["b": ["k": ["n": false]]]),
        ("a = \"\\u00e9\\n\\t\\x41\\ud83d\\ude42\\/\\\\\" ,", ["a": "é\n\tA🙂/\\"]),
        ("a=\"])<|tool_call_end|>\"", ["a": "])<|tool_call_end|>"]), ("a=\"x\" 'y'", ["a": "xy"]),
        ("", .object(JSONObject())), ("b=-1.5e3", ["b": -1500.0]), ("a='''x'''", ["a": "x"]),
    ]

    @Test(arguments: values.indices) func argumentsAreRead(_ index: Int) {
        let (text, value) = Self.values[index]
        let result = read("Wait.<|tool_call_start|>[f(\(text))]<|tool_call_end|>")
        #expect(result.toolCalls.map { .object($0.arguments) } == [value], "\(result)")
        #expect(result.content == "Wait." && result.diagnostics.isEmpty)
        // What is written for a history is read again.
        let again = read("<|tool_call_start|>" + PythonCalls.text(result.toolCalls) + "<|tool_call_end|>")
        #expect(again.toolCalls == result.toolCalls)
    }

    @Test func severalCallsAreOneList() {
        let result = read("<|tool_call_start|>[f(b=1), f(), g.h(a='2')]<|tool_call_end|>Done")
        #expect(result.toolCalls.map(\.name) == ["f", "f", "g.h"])
        #expect(result.content == "Done")
        let json = read("<|tool_call_start|>[{\"name\": \"f\", \"arguments\": {\"b\": 1}}]<|tool_call_end|>")
        #expect(json.toolCalls.map(\.name) == ["f"])
    }

    @Test(arguments: [
        "f(a=1)", "[]", "[f(1)]", "[f(a=x)]", "[f(a=1 b=2)]", "[f(a=1]", "[f(a='1)]", "[f(=1)]", "[(a=1)]", "[f]",
    ])
    func whatIsNoCallIsText(_ text: String) {
        let output = "<|tool_call_start|>\(text)<|tool_call_end|>"
        let result = read(output)
        #expect(result.toolCalls.isEmpty && result.content == output && !result.diagnostics.isEmpty, "\(result)")
        #expect(read("<|tool_call_start|>[f(a=\"1", isTruncated: true).content == "")
    }

    /// The template prints no calls: they are part of the text, and results are messages.
    @Test func callsInTheHistoryAreText() throws {
        let template = """
            {% if tools %}List of tools: <|tool_list_start|>{{ tools | tojson }}<|tool_list_end|>{% endif %}\
            {% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}
            """
        let writer = try PromptWriter(source: template)
        var answer = ChatMessage(.assistant, "Wait.")
        answer.toolCalls = [ToolCall(name: "f", arguments: JSONObject([("a", "x"), ("b", true)]))]
        let conversation = Conversation(
            messages: [ChatMessage(.user, "q"), answer, ChatMessage(.tool, "r")], tools: [Self.tool])
        let text = try writer.prompt(for: conversation).text
        #expect(
            text.containsCodePoints(
                "<user>q<assistant>Wait.\n<|tool_call_start|>[f(a=\"x\", b=True)]<|tool_call_end|><tool>r"), "\(text)")
    }
}
