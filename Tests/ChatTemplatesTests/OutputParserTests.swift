import Testing

@testable import ChatTemplates

private let weather: JSONValue = [
    "type": "function",
    "function": [
        "name": "get_weather",
        "parameters": [
            "type": "object",
            "properties": [
                "city": ["type": "string"], "days": ["type": "integer"], "exact": ["type": "boolean"],
                "note": ["type": ["string", "null"]], "any": ["description": "untyped"], "list": ["type": "array"],
            ],
        ],
    ],
]

/// What templates of each syntax hold that gives them away.
private let templates: [String: String] = [
    "hermes": "<tool_call></tool_call>", "qwen3": "<think></think><tool_call></tool_call>",
    "coder": "<think></think><tool_call><function=<parameter=",
    "seed": "<seed:think></seed:think><seed:tool_call><function=",
    "glm": "<think></think><tool_call><arg_key>", "minimax": "<think></think><minimax:tool_call>",
    "dsml": "<think></think>｜DSML｜function_calls>", "r1": "<think></think><｜tool▁calls▁begin｜>```json",
    "v3.1": "<think></think><｜tool▁calls▁begin｜>", "kimi": "<think></think><|tool_calls_section_begin|>",
    "mistral": "[THINK][/THINK][TOOL_CALLS][ARGS]", "mistral-id": "[TOOL_CALLS][CALL_ID][ARGS]", "nemo": "[TOOL_CALLS]",
    "gemma": "<|channel><channel|><|tool_call><|\"|>", "nemotron": "<think></think><TOOLCALL>",
    "llama": "<|python_tag|>",
    "harmony": "<|start|><|channel|><|message|>", "plain": "",
]

private func parser(_ syntax: String, prompt: String = "", tools: [JSONValue] = [weather]) throws -> OutputParser {
    OutputParser(
        syntax: OutputSyntax(template: try #require(templates[syntax])), tools: tools, generationPrompt: prompt)
}

/// The result, after checking that it is the same however the output is cut.
private func parsed(
    _ output: String, _ parser: OutputParser, isTruncated: Bool = false, location: SourceLocation = #_sourceLocation
) -> ParsedOutput {
    let bytes = Array(output.utf8)
    let whole = parse([bytes], parser, isTruncated: isTruncated)
    #expect(parse(bytes.map { [$0] }, parser, isTruncated: isTruncated) == whole, sourceLocation: location)
    for place in 0...bytes.count {
        let halves = [Array(bytes[..<place]), Array(bytes[place...])]
        #expect(parse(halves, parser, isTruncated: isTruncated) == whole, "cut at \(place)", sourceLocation: location)
    }
    return whole
}

struct OutputParserTests {
    /// What is told of a call while it is written is a beginning of what it becomes, and grows.
    @Test(arguments: calls.keys.sorted())
    func openCallsGrowIntoWhatTheyBecome(_ syntax: String) throws {
        var parser = try parser(syntax)
        let output = try #require(Self.calls[syntax])
        var told: [String] = []
        var whole: ToolCall?
        for character in output {
            for case .toolCall(let call) in parser.feed(String(character)) { whole = call }
            guard whole == nil, let open = parser.openCall else { continue }
            #expect(open.name == "get_weather")
            if told.last != open.arguments { told.append(open.arguments) }
        }
        for case .toolCall(let call) in parser.finish(isTruncated: false) { whole = call }
        let arguments = JSONValue.object(try #require(whole).arguments).text()
        for (text, next) in zip(told, told.dropFirst() + [arguments]) {
            #expect(next.hasPrefix(text) && next != text || next == arguments, "\(text), then \(next)")
        }
        // These tell nothing before the end: several calls in one list, an object without any mark, a notation that is
        // no JSON.
        if !["nemo", "nemotron", "llama", "gemma", "plain", "mistral-id"].contains(syntax) {
            #expect(told.count >= 4, "\(told)")
        }
    }

    @Test func beginningsOfJSON() throws {
        let value: JSONValue = [
            "a b": ["x\n\"y\"", 12, -0.5, true, nil, [], JSONValue.object(JSONObject()), "🙂é"], "": "\u{1}",
        ]
        for text in [value.text(), value.text(.spaced), "{\"k\": \"\\ud83d\\ude42 \\u00e9\\/\", \"n\": 1e2 }"] {
            let whole = try JSONValue(parsing: text).text()
            var last = ""
            for end in text.utf8.indices {
                let beginning = JSONBeginning.text(of: Array(text.utf8[..<end])[...])
                #expect(whole.utf8.starts(with: beginning.utf8), "\(beginning)")
                #expect(beginning.utf8.starts(with: last.utf8))
                last = beginning
            }
            #expect(whole.utf8.count - last.utf8.count <= 2)
            #expect(JSONBeginning.text(of: Array(text.utf8)[...]) == whole)
        }
    }

    /// One call of `get_weather` with the city in each syntax.
    static let calls: [String: String] = [
        "hermes": "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}</tool_call>",
        "coder":
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nKöln\n</parameter>\n</function>\n</tool_call>",
        "seed":
            "<seed:tool_call><function=get_weather><parameter=city>Köln</parameter></function></seed:tool_call>",
        "glm": "<tool_call>get_weather\n<arg_key>city</arg_key><arg_value>Köln</arg_value></tool_call>",
        "minimax":
            "<minimax:tool_call><invoke name=\"get_weather\"><parameter name=\"city\">Köln</parameter></invoke></minimax:tool_call>",
        "dsml":
            "<｜DSML｜function_calls><｜DSML｜invoke name=\"get_weather\"><｜DSML｜parameter name=\"city\" string=\"true\">Köln"
            + "</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>",
        "r1":
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Köln\"}\n```"
            + "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "v3.1":
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Köln\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "kimi":
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Köln\"}"
            + "<|tool_call_end|><|tool_calls_section_end|>",
        "mistral": "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Köln\"}",
        "mistral-id": "[TOOL_CALLS]get_weather[CALL_ID]a1[ARGS]{\"city\": \"Köln\"}",
        "nemo": "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}]",
        "gemma": "<|tool_call>call:get_weather{city:<|\"|>Köln<|\"|>}<tool_call|>",
        "nemotron": "<TOOLCALL>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}]</TOOLCALL>",
        "harmony": "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Köln\"}",
    ]

    @Test(arguments: calls.keys.sorted()) func readsACall(_ syntax: String) throws {
        let output = try #require(Self.calls[syntax])
        let result = parsed(output, try parser(syntax))
        #expect(result.toolCalls.map(\.name) == ["get_weather"])
        #expect(result.toolCalls.first?.arguments == JSONObject([("city", "Köln")]))
        #expect(result.content == "")
        #expect(result.diagnostics.isEmpty)
    }

    /// A call cut anywhere is never lost and never an error: it is a call, an unfinished call or content.
    @Test(arguments: calls.keys.sorted()) func cutAnywhereNothingIsLost(_ syntax: String) throws {
        let output = Array(try #require(Self.calls[syntax]).unicodeScalars)
        let before = syntax == "harmony" ? "" : "Hello."
        for length in 1..<output.count {
            let text = Array((before + output[..<length].map { String($0) }.joined()).utf8)
            let cut = parse([text], try parser(syntax), isTruncated: true)
            #expect(cut.toolCalls.count + cut.diagnostics.count <= 1)
            #expect(cut.content.utf8.count <= before.utf8.count + 3, "\(cut.content)")
            let ended = parse([text], try parser(syntax), isTruncated: false)
            if ended.toolCalls.isEmpty, syntax != "harmony" {
                #expect(Array(ended.content.utf8) == text)
            }
        }
    }

    @Test(arguments: [
        ("hermes", "<tool_call>\nnot json\n</tool_call>"),
        ("hermes", "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": }}</tool_call>"),
        ("hermes", "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"a\"}</tool_call>"),
        ("hermes", "<tool_call>{\"name\": \"get_weather\", \"arguments\": [1]}</tool_call>"),
        ("hermes", "<tool_call>{\"arguments\": {}}</tool_call>"),
        ("nemo", "[TOOL_CALLS] {'name': 'get_weather'}"), ("mistral", "[TOOL_CALLS]get weather[ARGS]{}"),
        ("mistral", "[TOOL_CALLS]get_weather{}"), ("glm", "<tool_call>get_weather {\"city\": 1}</tool_call>"),
        ("coder", "<tool_call>\n{\"name\": \"get_weather\"}\n</tool_call>"), ("coder", "<tool_call></tool_call>"),
        ("gemma", "<|tool_call>call:get_weather{city:}<tool_call|>"),
        ("gemma", "<|tool_call>get_weather{}<tool_call|>"),
        ("v3.1", "<｜tool▁calls▁begin｜>get_weather"),
        ("minimax", "<minimax:tool_call>get_weather()</minimax:tool_call>"),
        (
            "kimi",
            "<|tool_calls_section_begin|><|tool_call_begin|>get_weather<|tool_call_argument_begin|>[]<|tool_call_end|>"
        ),
    ])
    func aMalformedCallIsContent(_ syntax: String, _ output: String) throws {
        let result = parsed("Well: " + output, try parser(syntax))
        #expect(result.toolCalls.isEmpty)
        #expect(result.content.sameCodePoints(as: "Well: " + output))
        #expect(!result.diagnostics.isEmpty)
        #expect(result.diagnostics.allSatisfy { $0.unfinishedCall == nil })
    }

    @Test func malformedHarmonyCallIsContent() throws {
        let result = parsed("<|channel|>commentary to=functions.f<|message|>{oops<|call|>", try parser("harmony"))
        #expect(result.content == "{oops")
        #expect(result.diagnostics.count == 1)
    }

    @Test func aGoodCallAfterABadOneIsRead() throws {
        let good = try #require(Self.calls["hermes"])
        let result = parsed("<tool_call>{bad</tool_call>" + good, try parser("hermes"))
        #expect(result.toolCalls.count == 1)
        #expect(result.content == "<tool_call>{bad</tool_call>")
        #expect(result.diagnostics.count == 1)
    }

    @Test func anUnfinishedCallIsReported() throws {
        let output = "Wait.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nKö"
        let result = parsed(output, try parser("coder"), isTruncated: true)
        #expect(result.content == "Wait.")
        #expect(result.diagnostics.map(\.unfinishedCall) == [String(output.dropFirst(6))])
    }

    static let typedTexts: [(text: String, key: String, value: JSONValue)] = [
        ("Paris", "city", "Paris"), ("42", "city", "42"), ("{\"a\": 1}", "city", "{\"a\": 1}"),
        ("42", "days", 42), ("soon", "days", "soon"), ("True", "exact", true), ("false", "exact", false),
        ("null", "note", nil), ("7", "note", "7"), ("7", "any", 7), ("[1,", "any", "[1,"), ("[1, 2]", "list", [1, 2]),
        ("x</parameter>y", "city", "x</parameter>y"), ("\n\n", "city", "\n\n"), ("", "city", ""),
    ]

    @Test(arguments: typedTexts)
    func argumentsTakeTheTypeOfTheSchema(_ text: String, _ key: String, _ expected: JSONValue) throws {
        let output =
            "<tool_call>\n<function=get_weather>\n<parameter=\(key)>\n\(text)\n</parameter>\n</function>\n</tool_call>"
        let result = parsed(output, try parser("coder"))
        #expect(result.toolCalls.first?.arguments == JSONObject([(key, expected)]))
    }

    @Test func reasoning() throws {
        let open = try parser("qwen3", prompt: "<|im_start|>assistant\n<think>\n")
        var result = parsed("\nA\n\nB \n</think>\n\nC\n\n", open)
        #expect(result.reasoning == "A\n\nB")
        #expect(result.content == "C\n\n")
        result = parsed("<think>A", try parser("qwen3", prompt: "<think>\n\n</think>\n\n"), isTruncated: true)
        #expect(result.reasoning == "A")
        // Later the marker is text like any other.
        result = parsed("The tag <think> is a marker.", try parser("qwen3"))
        #expect(result.content == "The tag <think> is a marker.")
        #expect(result.reasoning == "")
        result = parsed("</think>\n\nHi", try parser("qwen3"))
        #expect(result.content == "Hi")
    }

    @Test func aCallInAThought() throws {
        let call = try #require(Self.calls["hermes"])
        let open = try parser("qwen3", prompt: "<think>\n")
        #expect(parsed("I try \(call) later.</think>No.", open).reasoning == "I try \(call) later.")
        #expect(parsed("I try \(call) later.</think>No.", open).toolCalls.isEmpty)
        #expect(parsed("I try \(call)", open).reasoning == "I try")
        #expect(parsed("I try \(call)", open).toolCalls.count == 1)
    }

    @Test func withoutToolsCallsAreText() throws {
        let call = try #require(Self.calls["hermes"])
        #expect(parsed(call, try parser("hermes", tools: [])).content == call)
        #expect(parsed("{\"name\": \"get_weather\"}", try parser("llama", tools: [])).toolCalls.isEmpty)
    }

    @Test func bareObjects() throws {
        let llama = try parser("llama")
        #expect(parsed(" {\"name\": \"get_weather\", \"parameters\": {\"city\": \"a\"}}", llama).toolCalls.count == 1)
        let two = "{\"name\": \"get_weather\", \"parameters\": {}}; {\"name\": \"get_weather\", \"parameters\": {}}"
        #expect(parsed(two, llama).toolCalls.count == 2)
        for text in [
            "{\"city\": \"Paris\"}", "{\"name\": \"other\", \"parameters\": {}}", "{\"name\": 1}", "{oops", "{}",
            "See {\"name\": \"get_weather\", \"parameters\": {}}",
        ] {
            let result = parsed(text, llama)
            #expect(result.content == text)
            #expect(result.toolCalls.isEmpty)
        }
        #expect(parsed("{\"name\": \"get_weather\", \"param", llama, isTruncated: true).content == "")
        #expect(parsed("<|python_tag|>import os", llama).content == "<|python_tag|>import os")
    }

    @Test func harmonyChannels() throws {
        let harmony = try parser("harmony")
        let result = parsed(
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>analysis<|message|>ok<|end|><|start|>assistant"
                + "<|channel|>final<|message|>Done.<|return|>", harmony)
        #expect(result.reasoning == "hm\nok")
        #expect(result.content == "Done.")
        #expect(parsed("no format at all", harmony).content == "no format at all")
        #expect(parsed("<|channel|>fin", harmony, isTruncated: true).content == "")
    }

    @Test func invalidBytesBecomeReplacementCharacters() throws {
        let result = parse([[0x61, 0xFF, 0x62], [0xE2, 0x82]], try parser("hermes"), isTruncated: false)
        #expect(result.content == "a\u{FFFD}b\u{FFFD}")
    }

    /// Any text of marker pieces gives the same in whatever pieces, and with no call found nothing disappears.
    @Test(arguments: calls.keys.sorted()) func randomMarkersInRandomPieces(_ syntax: String) throws {
        let call = try #require(Self.calls[syntax])
        var pieces = call.split(whereSeparator: { " \n".contains($0) }).map(String.init)
        pieces += ["<think>", "</think>", "\n", " ", "{", "}", "\"", "<", "é", call, String(call.prefix(30))]
        pieces += call.indices.filter { "<>[]{}".contains(call[$0]) }.map { String(call[$0...].prefix(12)) }
        var generator = SplitMix(state: 42)
        let fresh = try parser(syntax)
        for _ in 0..<400 {
            var text: [UInt8] = []
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                text += (pieces.randomElement(using: &generator) ?? "").utf8
            }
            var cuts: [[UInt8]] = []
            var start = 0
            while start < text.count {
                let end = min(text.count, start + Int.random(in: 1...9, using: &generator))
                cuts.append(Array(text[start..<end]))
                start = end
            }
            for isTruncated in [true, false] {
                let whole = parse([text], fresh, isTruncated: isTruncated)
                let pieced = parse(cuts, fresh, isTruncated: isTruncated)
                #expect(pieced == whole, "\(String(decoding: text, as: UTF8.self).debugDescription)")
            }
        }
    }

    @Test func longOutputsAreReadInLinearTime() throws {
        // Quadratic reading would take minutes here.
        let code = String(repeating: "x < y </parameter> [1] {2}\n", count: 20_000)
        let output =
            "<tool_call>\n<function=get_weather>\n<parameter=city>\n\(code)\n</parameter>\n</function>\n</tool_call>"
        let bytes = Array(output.utf8)
        let pieces = stride(from: 0, to: bytes.count, by: 3).map { Array(bytes[$0..<min($0 + 3, bytes.count)]) }
        let result = parse(pieces, try parser("coder"), isTruncated: false)
        #expect(result.toolCalls.first?.arguments["city"] == .string(code))
        let text = parse(pieces, try parser("hermes", tools: []), isTruncated: false)
        #expect(text.content.utf8.count == bytes.count)
    }
}
