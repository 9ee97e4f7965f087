import Foundation
import InferCLI
import TestSupport
import Testing

private let model = RepositoryFiles.model

/// Tools, schemas, grammars and thoughts from the command line.
@Suite(.timeLimit(.minutes(10))) struct AnswerTests {
    @Test func theModelCallsTheCalculator() throws {
        let result = try InferProcess.run(
            ["-m", model, "--temp", "0", "--tools", "--json-output", "What is 17 + 25?"])
        #expect(result.status == 0)
        #expect(result.errors.isEmpty)
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        #expect(object?["text"] as? String == "17 + 25 = 42.")
        #expect(object?["finish_reason"] as? String == "stop")
        let call = try #require((object?["tool_calls"] as? [[String: Any]])?.first)
        #expect(call["name"] as? String == "calculator")
        #expect(call["arguments"] as? [String: String] == ["expression": "17 + 25"])
        #expect(call["output"] as? String == "42")
        #expect(object?["reasoning"] == nil)
    }

    @Test func withoutATerminalTheAnswerIsAlone() throws {
        let result = try InferProcess.run(["-m", model, "--temp", "0", "--tools", "What is 17 + 25?"])
        #expect(result.output == "17 + 25 = 42.\n")
        #expect(result.errors.isEmpty)
    }

    @Test(arguments: [false, true]) func anAnswerOfAForm(isFile: Bool) throws {
        let directory = try TemporaryDirectory()
        let schema =
            #"{"type": "object", "properties": {"legs": {"enum": [4, 6]}}, "required": ["legs"], "additionalProperties": false}"#
        let argument = isFile ? try directory.write(Array(schema.utf8), to: "schema.json") : schema
        let result = try InferProcess.run(
            ["-m", model, "--temp", "0", "-n", "100", "-j", argument, "How many legs does a fox have?"])
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Int]
        #expect(object == ["legs": 4] || object == ["legs": 6])
    }

    /// What there is comes out, and the status says that it is not what was asked for.
    @Test func anAnswerThatIsCutOff() throws {
        let result = try InferProcess.run(
            ["-m", model, "-n", "3", "-j", #"{"type": "string", "minLength": 200}"#, "How many legs does a fox have?"])
        #expect(result.status == 1)
        #expect(!result.output.isEmpty)
        #expect(result.errors.contains("the limit of tokens cut the answer off"))
    }

    @Test func anAnswerOfAGrammar() throws {
        let directory = try TemporaryDirectory()
        let grammar = #"root ::= "yes" | "no""#
        let path = try directory.write(Array(grammar.utf8), to: "answer.gbnf")
        for arguments in [["--grammar", grammar], ["--grammar-file", path], ["--raw", "--grammar", grammar]] {
            let result = try InferProcess.run(["-m", model, "--temp", "0", "Are you human?"] + arguments)
            #expect(["yes\n", "no\n"].contains(result.output))
        }
    }

    @Test(arguments: [
        (["--tool-choice", "required"], "--tool-choice goes with --tools"),
        (["--raw", "--tools"], "--tools and --reasoning need a chat"),
        (["-j", "{}", "--grammar", "root ::= \"a\""], "give one of"),
        (["--tools", "--tool-choice", "piano"], "piano"), (["--reasoning", "maybe"], "maybe"),
        (["--reasoning", "-5"], "reasoning"), (["-j", " "], "--json-schema is empty"),
    ])
    func whatDoesNotGoTogetherIsSaid(arguments: [String], message: String) throws {
        let result = try InferProcess.run(["-m", model, "Hi"] + arguments)
        #expect(result.status == 64)
        #expect(result.errors.contains(message))
    }

    @Test(arguments: [
        (["-j", "[]"], "a schema must be an object or a boolean"), (["-j", "{"], "JSON"),
        (["--grammar", "root ::= nothing"], "nothing"), (["-j", "/no/such"], "no such file"),
        (["-j", #"{"type": "object", "if": {}}"#], "if is not supported (at /if)"),
        (["-j", #"{"properties": {"größe": {"type": "grad"}}}"#], "(at /properties/größe/type)"),
        (["-j", #"{"type": "string", "pattern": "(a"}"#], "unterminated group (at /pattern)"),
    ])
    func aFormThatCannotBeUsedIsAnError(arguments: [String], message: String) throws {
        let result = try InferProcess.run(["-m", model, "Hi"] + arguments)
        #expect(result.status == 1)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("Error: "))
        #expect(result.errors.contains(message))
    }

    @Test(
        arguments: [
            ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("2^3^2", "512"), ("-2^2", "-4"), ("7 % 4", "3"),
            ("10 / 4", "2.5"),
            ("1.5e", nil), ("1 / 0", nil), ("", nil), ("(1", nil), ("1 2", nil), ("9 − 4 × 2", "1"), ("--3", "3"),
            (String(repeating: "(", count: 5000) + "1", nil), (String(repeating: "2^", count: 5000) + "1", nil),
            ("9^9^9", nil), (".5 + .5", "1"), ("3 cats", nil),
        ] as [(String, String?)])
    func arithmetic(expression: String, expected: String?) {
        let value = try? Arithmetic.value(of: expression)
        #expect(value.map(Arithmetic.text) == expected)
    }
}
