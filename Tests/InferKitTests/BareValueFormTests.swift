import GGUF
import TestSupport
import Testing
import Tokenization

@testable import ChatTemplates
@testable import InferKit

/// Values between tags, held to their form: the grammar ends them where the reader does.
struct BareValueFormTests {
    private static let coder = "<tool_call><function=<parameter="
    private static let miniMax = "<minimax:tool_call>"
    private static let glm = "<tool_call><arg_key>"

    private static func tool(_ properties: JSONValue, required: [String] = []) -> JSONValue {
        [
            "type": "function",
            "function": [
                "name": "w",
                "parameters": [
                    "type": "object", "properties": properties, "required": .array(required.map { .string($0) }),
                ],
            ],
        ]
    }

    private static let text: JSONValue = ["type": "string"]

    /// The arguments of a text that the form takes; nil for one that it does not.
    private func arguments(
        _ template: String, _ tool: JSONValue, _ text: String, isParallel: Bool = false
    ) throws -> [JSONValue]? {
        let syntax = OutputSyntax(template: template)
        let vocabulary = GrammarVocabulary(try Tokenizer(GGUFMetadata(ToyVocabulary.byteLevel)))
        let pattern = try #require(syntax.callPattern(tools: [tool], isParallel: isParallel))
        let grammar = try TextGrammar(try PatternCompiler.grammar(for: pattern, vocabulary))
        guard try grammar.accepts(text) else { return nil }
        var parser = OutputParser(syntax: syntax, tools: [tool])
        var output = ParsedOutput()
        for event in parser.feed(text) + parser.finish(isTruncated: false) { output.add(event) }
        #expect(output.content == "" && output.diagnostics.isEmpty, "\(text): \(output)")
        return output.toolCalls.map { .object($0.arguments) }
    }

    @Test func marksInsideOfValuesMayBeWritten() throws {
        let tool = Self.tool(["path": Self.text, "content": Self.text], required: ["path", "content"])
        for value in ["<parameter>\n  <hello></hello>\n</parameter>", "a</parameter>b", "</parameter>"] {
            let miniMax =
                "<minimax:tool_call>\n<invoke name=\"w\">\n<parameter name=\"path\">a</parameter>\n"
                + "<parameter name=\"content\">\(value)</parameter>\n</invoke>\n</minimax:tool_call>"
            #expect(
                try arguments(Self.miniMax, tool, miniMax) == [["path": "a", "content": .string(value)]], "\(value)")
            let coder =
                "<tool_call>\n<function=w>\n<parameter=path>\na\n</parameter>\n<parameter=content>\n\(value)\n"
                + "</parameter>\n</function>\n</tool_call>"
            #expect(try arguments(Self.coder, tool, coder) == [["path": "a", "content": .string(value)]], "\(value)")
        }
        let glm =
            "<tool_call>w\n<arg_key>path</arg_key>\n<arg_value>x</arg_value>y</arg_value>\n<arg_key>content</arg_key>\n"
            + "<arg_value>z</arg_value>\n</tool_call>"
        #expect(try arguments(Self.glm, tool, glm) == [["path": "x</arg_value>y", "content": "z"]])
        // A name that the tool does not have is no way out.
        let other = "<tool_call>\n<function=w>\n<parameter=path>\na\n</parameter>\n<parameter=other>\n"
        #expect(try arguments(Self.coder, tool, other + "b\n</parameter>\n</function>\n</tool_call>") == nil)
    }

    @Test func closingMarksMayBeMissing() throws {
        let tool = Self.tool(["path": Self.text, "count": ["type": "integer"]], required: ["path"])
        let begin = "<tool_call>\n<function=w>\n<parameter=path>\n"
        let end = "</function>\n</tool_call>"
        let both: [JSONValue] = [["path": "a", "count": 1]]
        #expect(try arguments(Self.coder, tool, begin + "a\n<parameter=count>\n1\n</parameter>\n" + end) == both)
        #expect(try arguments(Self.coder, tool, begin + "a\n<parameter=count>\n1\n" + end) == both)
        #expect(try arguments(Self.coder, tool, begin + "a\n" + end) == [["path": "a"]])
        #expect(try arguments(Self.coder, tool, begin + "a\n</function>") == [["path": "a"]])
        // Closed by itself it is text.
        let inner = "a\n<parameter=count>\nx\n</parameter>"
        #expect(
            try arguments(Self.coder, tool, begin + inner + "\n</parameter>\n" + end) == [["path": .string(inner)]])
        let two = begin + "a\n" + end + "\n" + begin + "b\n</parameter>\n" + end
        #expect(try arguments(Self.coder, tool, two, isParallel: true) == [["path": "a"], ["path": "b"]])
    }

    @Test func valuesOfAListAreBareTexts() throws {
        let schemas: [JSONValue] = [
            ["enum": ["fast", "slow"]], ["const": "fast"], ["type": "string", "enum": ["fast"]],
            ["enum": ["fast", nil]], ["anyOf": [["enum": ["fast"]], ["type": "integer"]]],
        ]
        for schema in schemas {
            let tool = Self.tool(["mode": schema])
            func call(_ value: String) -> String {
                "<tool_call>w\n<arg_key>mode</arg_key>\n<arg_value>\(value)</arg_value>\n</tool_call>"
            }
            #expect(try arguments(Self.glm, tool, call("fast")) == [["mode": "fast"]], "\(schema.text())")
            #expect(try arguments(Self.glm, tool, call("\"fast\"")) == nil, "\(schema.text())")
            #expect(try arguments(Self.glm, tool, call("quick")) == nil, "\(schema.text())")
        }
    }

    /// A tool that does not name its parameters takes any, as it does in JSON.
    @Test func parametersThatAreNotNamedMayBeWritten() throws {
        let free: JSONValue = ["type": "function", "function": ["name": "w", "parameters": ["type": "object"]]]
        let call = "<tool_call>w\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"
        #expect(try arguments(Self.glm, free, call) == [["a": 1]])
        #expect(try arguments(Self.glm, Self.tool(["b": Self.text]), call) == nil)
    }

    @Test func longestLengthsDoNotMakeCallsFail() throws {
        let tool = Self.tool(["path": ["type": "string", "maxLength": 20_000]])
        let call = "<tool_call>w\n<arg_key>path</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"
        #expect(try arguments(Self.glm, tool, call) == [["path": "1"]])
    }
}
