import Testing

@testable import ChatTemplates

/// Arguments that stand between tags without quotes: where they end and what they are, in every notation that has them.
struct BareValueTests {
    /// How a notation writes calls.
    struct Notation: Sendable, CustomTestStringConvertible {
        var name: String
        var template: String
        var begin: String
        var end: String
        var open: @Sendable (String) -> String
        var close: String
        /// Around a value.
        var lineBreak = ""
        var sectionEnd: String?

        var testDescription: String { name }

        func parameter(_ key: String, _ value: String) -> String { open(key) + lineBreak + value + lineBreak + close }
        func call(_ text: String) -> String { begin + text + end }
    }

    static let coder = Notation(
        name: "coder", template: "<think></think><tool_call><function=<parameter=",
        begin: "<tool_call>\n<function=w>\n", end: "\n</function>\n</tool_call>", open: { "<parameter=\($0)>" },
        close: "</parameter>", lineBreak: "\n", sectionEnd: "\n</tool_call>")
    static let notations = [
        coder,
        Notation(
            name: "seed", template: "<seed:think></seed:think><seed:tool_call><function=",
            begin: "<seed:tool_call><function=w>", end: "</function></seed:tool_call>", open: { "<parameter=\($0)>" },
            close: "</parameter>", sectionEnd: "</seed:tool_call>"),
        Notation(
            name: "glm", template: "<think></think><tool_call><arg_key>", begin: "<tool_call>w\n",
            end: "\n</tool_call>",
            open: { "<arg_key>\($0)</arg_key>\n<arg_value>" }, close: "</arg_value>"),
        Notation(
            name: "minimax", template: "<think></think><minimax:tool_call>",
            begin: "<minimax:tool_call>\n<invoke name=\"w\">\n", end: "\n</invoke>\n</minimax:tool_call>",
            open: { "<parameter name=\"\($0)\">" }, close: "</parameter>", sectionEnd: "\n</minimax:tool_call>"),
        Notation(
            name: "dsml", template: "<think></think>｜DSML｜function_calls>",
            begin: "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"w\">\n",
            end: "\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            open: { "<｜DSML｜parameter name=\"\($0)\" string=\"true\">" }, close: "</｜DSML｜parameter>",
            sectionEnd: "\n</｜DSML｜function_calls>"),
    ]

    static func tool(_ properties: JSONValue, more: [(String, JSONValue)] = []) -> JSONValue {
        let parameters = JSONObject([("type", "object"), ("properties", properties)] + more)
        return ["type": "function", "function": ["name": "w", "parameters": .object(parameters)]]
    }

    static let text: JSONValue = ["type": "string"]
    static let twoTexts = tool(["path": text, "content": text])

    /// The result, which must be the same however the text is cut. What is told of open calls must be the beginning of
    /// what they become.
    static func parsed(
        _ output: String, _ notation: Notation, _ tool: JSONValue = twoTexts, isTruncated: Bool = false,
        location: SourceLocation = #_sourceLocation
    ) -> ParsedOutput {
        let parser = OutputParser(syntax: OutputSyntax(template: notation.template), tools: [tool])
        let bytes = Array(output.utf8)
        let whole = parse([bytes], parser, isTruncated: isTruncated)
        #expect(parse(bytes.map { [$0] }, parser, isTruncated: isTruncated) == whole, sourceLocation: location)
        for place in 0...bytes.count {
            let halves = [Array(bytes[..<place]), Array(bytes[place...])]
            #expect(
                parse(halves, parser, isTruncated: isTruncated) == whole, "cut at \(place)", sourceLocation: location)
        }
        var stream = parser
        var told: [String] = []
        var calls: [ToolCall] = []
        func check(_ call: ToolCall) {
            let text = JSONValue.object(call.arguments).text()
            for beginning in told {
                #expect(text.utf8.starts(with: beginning.utf8), "\(beginning), then \(text)", sourceLocation: location)
            }
            told = []
            calls.append(call)
        }
        for byte in bytes {
            for case .toolCall(let call) in stream.feed([byte]) { check(call) }
            if let open = stream.openCall { told.append(open.arguments) }
        }
        for case .toolCall(let call) in stream.finish(isTruncated: isTruncated) { check(call) }
        #expect(calls == whole.toolCalls, sourceLocation: location)
        return whole
    }

    private static func arguments(
        _ output: String, _ notation: Notation, _ tool: JSONValue = twoTexts,
        location: SourceLocation = #_sourceLocation
    ) -> JSONValue {
        let result = parsed(output, notation, tool, location: location)
        #expect(result.content == "" && result.diagnostics.isEmpty, "\(result)", sourceLocation: location)
        #expect(result.toolCalls.count == 1, "\(result)", sourceLocation: location)
        return .object(result.toolCalls.first?.arguments ?? JSONObject())
    }

    // MARK: Where values end

    @Test(arguments: notations) func theNextParameterEndsWhatWasNotClosed(_ notation: Notation) {
        let first = notation.open("path") + notation.lineBreak + "Dallas\n"
        let unclosed = notation.call(first + notation.parameter("content", "TX"))
        #expect(Self.arguments(unclosed, notation) == ["path": "Dallas", "content": "TX"])
        // Neither was closed.
        let open = first + notation.open("content") + notation.lineBreak + "TX"
        #expect(Self.arguments(notation.call(open), notation) == ["path": "Dallas", "content": "TX"])
        // A parameter that the tool does not have is text.
        let other = Self.tool(["path": Self.text])
        let value = "Dallas\n" + notation.open("content") + "TX"
        #expect(
            Self.arguments(notation.call(notation.parameter("path", value)), notation, other) == [
                "path": .string(value)
            ])
        // So is one that is closed by itself.
        let closed = "Dallas\n" + notation.parameter("content", "TX") + "\n"
        #expect(
            Self.arguments(notation.call(notation.parameter("path", closed)), notation) == ["path": .string(closed)])
    }

    @Test(arguments: notations) func theEndOfTheCallEndsWhatWasNotClosed(_ notation: Notation) {
        let text = notation.parameter("path", "a.txt") + "\n" + notation.open("content") + notation.lineBreak
        let call = notation.call(text + "line1\nline2")
        let expected: JSONValue = ["path": "a.txt", "content": "line1\nline2"]
        #expect(Self.arguments(call, notation) == expected)
        // The limit may come directly behind it, or white space.
        #expect(Self.parsed(call, notation, isTruncated: true).toolCalls.count == 1)
        #expect(Self.arguments(call + "\n\n", notation) == expected)
        // The next call shows it too.
        let two = Self.parsed(call + "\n" + call, notation)
        #expect(two.toolCalls.map { .object($0.arguments) } == [expected, expected])
        #expect(two.content == "" && two.diagnostics.isEmpty)
        // What the model says behind it is content.
        let more = Self.parsed(call + "\nDone.", notation)
        #expect(more.toolCalls.map { .object($0.arguments) } == [expected])
        #expect(more.content == "Done.")
        // The section need not be closed, and its end does for the call's.
        if let sectionEnd = notation.sectionEnd {
            let short = String(call.dropLast(sectionEnd.count))
            #expect(Self.arguments(short, notation) == expected)
            let outer = notation.begin + text + "line1\nline2" + sectionEnd
            #expect(Self.arguments(outer, notation) == expected)
        }
        // Without any end it is text, and not lost.
        let cut = notation.begin + text + "line1"
        let result = Self.parsed(cut, notation)
        #expect(result.toolCalls.isEmpty && result.content == cut && result.diagnostics.count > 0)
    }

    @Test(arguments: notations) func marksInsideAreText(_ notation: Notation) {
        let ends = [
            "x\(notation.close)y", "\(notation.close)\(notation.close) z", "doc:\(notation.end)\nand more",
            "<parameter>\n  <hello></hello>\n</parameter>", "<parameter>a</parameter>\n<parameter>b</parameter>",
        ]
        for value in ends {
            let call = notation.call(notation.parameter("path", "a.xml") + notation.parameter("content", value))
            #expect(Self.arguments(call, notation) == ["path": "a.xml", "content": .string(value)])
        }
    }

    @Test(arguments: notations) func valuesStayAsTheyAre(_ notation: Notation) {
        for value in [
            "if (a &amp;&amp; b < c) { x = \"&lt;\"; }", "    return x  \n", "\n\na\n\n", " ", "", "make 2>&1", "\"q\"",
            "a\r\nb\r\n", "e\u{301} 🙂", "True", "null", "<",
        ] {
            let call = notation.call(notation.parameter("content", value))
            #expect(Self.arguments(call, notation) == ["content": .string(value)])
        }
    }

    @Test func aParameterWithoutANameMakesNoCall() {
        for tag in ["<parameter>", "<parameter=>"] {
            let output = Self.coder.call(
                Self.coder.parameter("path", "a") + "\n" + tag + "\nfoo\n</parameter>")
            let result = Self.parsed(output, Self.coder)
            #expect(result.toolCalls.isEmpty && result.content == output, "\(result)")
            #expect(result.diagnostics.contains { $0.message.contains("a parameter has no name") })
        }
    }

    @Test(arguments: notations) func aCallThatIsCutIsNone(_ notation: Notation) {
        let call = notation.call(notation.parameter("path", "a.txt") + notation.open("content") + "line1\nline2")
        let bytes = Array(call.utf8)
        let parser = OutputParser(syntax: OutputSyntax(template: notation.template), tools: [Self.twoTexts])
        let callEnd = call.utf8.count - notation.end.utf8.count
        for length in 1...callEnd {
            let result = parse([Array(bytes[..<length])], parser, isTruncated: true)
            #expect(result.toolCalls.isEmpty && result.content.unicodeScalars.count < 5)
        }
    }

    // MARK: What values are

    struct Typed: Sendable, CustomTestStringConvertible {
        var schema: JSONValue
        var text: String
        var value: JSONValue

        init(_ schema: JSONValue, _ text: String, _ value: JSONValue) {
            (self.schema, self.text, self.value) = (schema, text, value)
        }

        var testDescription: String { "\(text) as \(schema.text())" }
    }

    static let typed: [Typed] = {
        let texts: [JSONValue] = [
            ["type": "string"], ["enum": ["12", "true", "null", "fast"]], ["const": "12"], ["$ref": "#/$defs/S"],
            ["allOf": [["type": "string"], ["minLength": 1]]], ["allOf": [["minLength": 1], ["$ref": "#/$defs/S"]]],
            ["anyOf": [["$ref": "#/$defs/S"], ["enum": ["x"]]]], ["$ref": "#/$defs/deep/%24defs/T"],
            ["pattern": "^.+$"], ["oneOf": [["const": "a"], ["const": "b"]]], ["$ref": "#/$defs/loop"],
        ]
        var typed: [Typed] = []
        for schema in texts {
            for text in ["12", "true", "null", "\"q\"", "fast"] { typed.append(Typed(schema, text, .string(text))) }
        }
        let nullable: [JSONValue] = [
            ["type": ["string", "null"]], ["anyOf": [["type": "string"], ["type": "null"]]],
            ["anyOf": [["$ref": "#/$defs/S"], ["type": "null"]]], ["enum": ["12", "Pura90", nil]],
        ]
        for schema in nullable {
            typed += [
                Typed(schema, "Pura90", "Pura90"), Typed(schema, "12", "12"), Typed(schema, "true", "true"),
                Typed(schema, "null", nil), Typed(schema, "\"q\"", "\"q\""),
            ]
        }
        let number: JSONValue = ["allOf": [["type": ["number", "string"]], ["not": ["type": "string"]]]]
        return typed + [
            Typed(["type": "integer"], "2026-01-15", "2026-01-15"), Typed(["type": "integer"], "12", 12),
            Typed(["$ref": "#/$defs/I"], "12", 12),
            Typed(["anyOf": [["$ref": "#/$defs/I"], ["type": "null"]]], "12", 12),
            Typed(number, "1.5", 1.5), Typed(["anyOf": [["type": "string"], ["type": "integer"]]], "12", 12),
            Typed(["anyOf": [["type": "string"], ["type": "integer"]]], "1.5", "1.5"), Typed([:], "12", 12),
            Typed(true, "[1, 2]", [1, 2]), Typed(["$ref": "#/$defs/none"], "12", 12),
            Typed(["type": "boolean"], "yes", "yes"), Typed(["items": ["type": "string"]], "[\"a\"]", ["a"]),
        ]
    }()

    @Test(arguments: typed) func typesAreFoundBehindReferences(_ example: Typed) {
        let definitions: JSONValue = [
            "S": ["type": "string"], "I": ["type": "integer"], "deep": ["$defs": ["T": ["$ref": "#/$defs/S"]]],
            "loop": ["anyOf": [["type": "string"]], "allOf": [["$ref": "#/$defs/loop"]]],
        ]
        let tool = Self.tool(["n": example.schema], more: [("$defs", definitions)])
        for notation in Self.notations where notation.name != "dsml" {
            let call = notation.call(notation.parameter("n", example.text))
            #expect(Self.arguments(call, notation, tool) == ["n": example.value], "\(notation.name)")
        }
        // Properties behind a reference themselves.
        let hidden: JSONValue = [
            "type": "function",
            "function": [
                "name": "w",
                "parameters": [
                    "allOf": [["$ref": "#/$defs/P"]],
                    "$defs": .object(
                        JSONObject(
                            Array(definitions.objectValue?.members ?? JSONObject().members)
                                + [("P", ["type": "object", "properties": ["n": example.schema]])])),
                ],
            ],
        ]
        let call = Self.coder.call(Self.coder.parameter("n", example.text))
        #expect(Self.arguments(call, Self.coder, hidden) == ["n": example.value])
    }

    /// A flag says whether a value is a text; JSON is only a text if it is one.
    @Test func flags() {
        let tool = Self.tool(["s": Self.text, "n": ["type": "integer"]])
        func read(_ key: String, _ flag: String, _ value: String) -> JSONValue? {
            let output =
                "<｜DSML｜function_calls><｜DSML｜invoke name=\"w\"><｜DSML｜parameter name=\"\(key)\" string=\"\(flag)\">"
                + "\(value)</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>"
            return Self.arguments(output, Self.notations[4], tool)[key]
        }
        #expect(read("s", "true", "12") == "12")
        #expect(read("s", "false", "12") == "12")
        #expect(read("s", "false", "\"12\"") == "12")
        #expect(read("n", "false", "12") == 12)
        #expect(read("n", "true", "12") == "12")
    }

    @Test func endlessSchemasAreBounded() {
        var schema: JSONValue = ["type": "string"]
        for _ in 0..<200 { schema = ["anyOf": [schema, schema]] }
        var definitions = JSONObject()
        for index in 0..<2000 {
            definitions["d\(index)"] = [
                "anyOf": [["$ref": .string("#/$defs/d\(index + 1)")], ["$ref": .string("#/$defs/d\(index + 2)")]]
            ]
        }
        let tool = Self.tool(["a": schema, "b": ["$ref": "#/$defs/d0"]], more: [("$defs", .object(definitions))])
        let call = Self.coder.call(Self.coder.parameter("b", "x"))
        let parser = OutputParser(syntax: OutputSyntax(template: Self.coder.template), tools: [tool])
        #expect(parse([Array(call.utf8)], parser, isTruncated: false).toolCalls.count == 1)
    }

    @Test func semicolonsBetweenBareCallsAreNoContent() throws {
        let tool = Self.twoTexts
        let parser = OutputParser(syntax: OutputSyntax(template: "<|python_tag|>"), tools: [tool])
        let call = "{\"name\": \"w\", \"parameters\": {}}"
        for (output, calls, content) in [
            ("\(call); \(call)", 2, ""), ("\(call);\(call);\n", 2, ""), ("\(call)\n\(call)", 2, ""),
            ("<|python_tag|>\(call); \(call)", 2, ""), ("<|python_tag|>\(call); <|python_tag|>\(call)", 2, ""),
            ("\(call); and", 1, "; and"),
        ] {
            let bytes = Array(output.utf8)
            let whole = parse([bytes], parser, isTruncated: false)
            #expect(whole.toolCalls.count == calls && whole.content == content, "\(output): \(whole)")
            for place in 0...bytes.count {
                let halves = [Array(bytes[..<place]), Array(bytes[place...])]
                #expect(parse(halves, parser, isTruncated: false) == whole, "\(output) cut at \(place)")
            }
        }
    }
}
