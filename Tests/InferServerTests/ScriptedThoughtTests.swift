import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// Thoughts that a budget cuts, and stop sequences beside thoughts and calls.
struct ScriptedThoughtTests {
    private typealias Piece = ScriptedFile.Piece

    /// The prompt's last token is the mark, so that what follows the words that end a thought can be another piece than
    /// the first.
    private static let opened = """
        {% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        <think>{% endif %}{# </think> #}
        """
    /// The model opens a thought by itself.
    private static let own = ScriptedFile.chatML + "{# <think></think> #}"
    private static let marks = ["<think>", "</think>"]
    private static let mark = 259

    /// - Parameter resumes: the piece that follows the words that end a thought.
    private func cut(_ pieces: [Piece], resumes: Int) throws -> ScriptedService {
        try ScriptedService(
            ScriptedFile(pieces, template: Self.opened, marks: Self.marks, next: [Self.mark: 0, 10: resumes]))
    }

    private struct Told {
        var text = ""
        var thought = ""
        var reason: JSONValue?
        var sequence: JSONValue?
        var tokens = 0
    }

    private func message(
        _ service: ScriptedService, budget: Int?, stop: [String] = [], limit: Int = 60
    ) async throws -> Told {
        let body: JSONValue = [
            "messages": [["role": "user", "content": "x"]], "max_tokens": .int(limit), "temperature": 0,
            "thinking": budget.map { ["type": "enabled", "budget_tokens": .int($0)] } ?? ["type": "disabled"],
            "stop_sequences": .array(stop.map { .string($0) }),
        ]
        let answer = try await service.ask("/v1/messages", body).json
        var told = Told(reason: answer["stop_reason"], sequence: answer["stop_sequence"])
        for block in answer["content"]?.arrayValue ?? [] {
            told.text += block["text"]?.stringValue ?? ""
            told.thought += block["thinking"]?.stringValue ?? ""
        }
        told.tokens = answer["usage"]?["output_tokens"]?.intValue ?? 0
        return told
    }

    @Test func whatGoesOnBehindACutThoughtIsTextWithoutMarks() async throws {
        let pieces: [Piece] = ["thinking", " and", " thin", "g", "king", " more", "</think>", "\n\n", "Answer"]
        let told = try await message(cut(pieces, resumes: 4), budget: 4)
        #expect(told.thought == "thinking and thing" && told.text == "king more\n\nAnswer", "\(told)")
        #expect(told.reason == "end_turn")
    }

    /// A mark in pieces, and one directly behind the cut.
    @Test(arguments: [["</th", "ink>", "Answer"], ["</think>", "\n\nAnswer"]] as [[String]])
    func aMarkDirectlyBehindTheCutIsNoText(rest: [String]) async throws {
        let pieces = ["a", "b"] + rest
        let told = try await message(cut(pieces.map { Piece($0) }, resumes: 2), budget: 2)
        #expect(told.thought == "ab" && told.text == "Answer", "\(told)")
    }

    /// Switched off, the prompt has an empty thought.
    @Test func switchedOffThereIsNoMarkInTheText() async throws {
        let pieces: [Piece] = ["king", " more", "</think>", "\n\n", "Answer"]
        let service = try cut(pieces, resumes: 0)
        let told = try await message(service, budget: nil)
        #expect(told.thought.isEmpty && told.text == "king more\n\nAnswer", "\(told)")
        for members: JSONValue in [["reasoning_effort": "none"], ["chat_template_kwargs": ["enable_thinking": false]]] {
            var body = try #require(members.objectValue)
            body["messages"] = [["role": "user", "content": "x"]]
            body["temperature"] = 0
            let message = try await service.ask("/v1/chat/completions", .object(body)).json["choices"]?[0]?["message"]
            #expect(message?["content"]?.stringValue?.contains("</think>") == false, "\(members.text())")
        }
    }

    @Test(arguments: 0...8) func aThoughtEndsBehindAWholeCharacter(budget: Int) async throws {
        let pieces = Array("🥳🥳🥳".utf8).map { Piece(bytes: [$0]) } + ["</think>", "ok"]
        let told = try await message(cut(pieces, resumes: 13), budget: budget)
        #expect(told.thought == String(repeating: "🥳", count: (budget + 3) / 4), "\(told)")
        #expect(told.text == "ok")
    }

    /// The script begins anew behind the words that end a thought, and so does the thought.
    @Test(arguments: [0, 1, 3]) func aBudgetIsForAllThoughts(budget: Int) async throws {
        let pieces: [Piece] = [
            "<think>", "a", " b", " c", " d", "</think>", "x", "<think>", "e", " f", " g", " h", "</think>", "y",
        ]
        let file = ScriptedFile(pieces, template: Self.own, marks: Self.marks)
        let body: JSONValue = [
            "messages": [["role": "user", "content": "x"]], "max_tokens": 200, "temperature": 0,
            "thinking": ["type": "enabled", "budget_tokens": .int(budget)],
        ]
        let service = try ScriptedService(file)
        let told = try await message(service, budget: budget, limit: 200)
        #expect(told.thought == ["", "a", "", "a b c"][budget], "\(told)")
        #expect(!told.text.contains("think>") && told.text.hasSuffix("y"), "\(told)")
        let metrics = try await service.ask("/v1/messages", body).json
        #expect(metrics["stop_reason"] == "end_turn")
    }

    /// A mark that is one token is not chosen once thoughts are over.
    @Test func noThoughtBeginsWhenTheyAreOff() async throws {
        // The line feed is followed by the mark of the vocabulary itself: by a bias, since a script has pieces only.
        let file = ScriptedFile(["Answer"], template: Self.own, marks: Self.marks)
        let body: JSONValue = [
            "messages": [["role": "user", "content": "x"]], "max_tokens": 5, "temperature": 0,
            "reasoning_effort": "none", "logit_bias": ["259": 90, "258": 95],
        ]
        let answer = try await ScriptedService(file).ask("/v1/chat/completions", body).json
        let message = answer["choices"]?[0]?["message"]
        #expect(message?["reasoning_content"] == nil && message?["content"] == "", "\(answer.text())")
    }

    // MARK: Stop sequences

    @Test func aStopSequenceLeavesThoughtsAlone() async throws {
        let pieces: [Piece] = ["A", "\n\n", "B", "</think>", "\n\n", "One", "\n\n", "Two"]
        let service = try cut(pieces, resumes: 0)
        let told = try await message(service, budget: 50, stop: ["\n\n"])
        #expect(told.thought == "A\n\nB" && told.text == "One", "\(told)")
        #expect(told.reason == "stop_sequence" && told.sequence == "\n\n")
        // It ends with the white space, not with what would come behind it.
        #expect(told.tokens == 7)
    }

    private static let calls = """
        {% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}{% for c in m.tool_calls %}{{ c | tojson }}{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}{# <tool_call><function=x><parameter=y> #}
        """
    private static let tool: JSONValue = [
        "type": "function",
        "function": [
            "name": "w",
            "parameters": ["type": "object", "properties": ["a": ["type": "string"]], "required": ["a"]],
        ],
    ]

    @Test(arguments: [false, true]) func aStopSequenceLeavesCallsAlone(isStreamed: Bool) async throws {
        let file = ScriptedFile(
            [
                "Look", "ing", "<tool_call>", "\n<function=w>\n", "<parameter=a>\n", "x", "\n\n", "y",
                "\n</parameter>\n", "</function>\n", "</tool_call>",
            ], template: Self.calls, next: [:])
        let body: JSONValue = [
            "messages": [["role": "user", "content": "x"]], "tools": [Self.tool], "temperature": 0, "max_tokens": 100,
            "stop": ["\n\n", "ing<"], "stream": .bool(isStreamed),
        ]
        let answer = try await ScriptedService(file).ask("/v1/chat/completions", body)
        if isStreamed {
            let pieces = answer.events.compactMap {
                $0["choices"]?[0]?["delta"]?["tool_calls"]?[0]?["function"]?["arguments"]?.stringValue
            }
            #expect(pieces.joined() == "{\"a\":\"x\\n\\ny\"}", "\(answer.text)")
        } else {
            let choice = answer.json["choices"]?[0]
            let arguments = choice?["message"]?["tool_calls"]?[0]?["function"]?["arguments"]
            #expect(arguments == "{\"a\":\"x\\n\\ny\"}", "\(answer.text)")
            #expect(choice?["message"]?["content"] == "Looking" && choice?["finish_reason"] == "tool_calls")
        }
    }

    // MARK: Scores

    /// A token of which nothing is shown has no score, one of which a part is shown has.
    @Test func tokensThatAStopSequenceTakesAreNotScored() async throws {
        let service = try ScriptedService(ScriptedFile(["Hello", " world", " again", " and", " more"]))
        func scored(_ stop: String, _ isStreamed: Bool) async throws -> (text: String, tokens: [String]) {
            let body: JSONValue = [
                "messages": [["role": "user", "content": "x"]], "temperature": 0, "logprobs": true,
                "stop": [.string(stop)], "stream": .bool(isStreamed),
            ]
            let answer = try await service.ask("/v1/chat/completions", body)
            let choices = (isStreamed ? answer.events : [answer.json]).compactMap { $0["choices"]?[0] }
            let text = choices.compactMap { ($0["delta"] ?? $0["message"])?["content"]?.stringValue }.joined()
            let scores = choices.flatMap { $0["logprobs"]?["content"]?.arrayValue ?? [] }
            return (text, scores.compactMap { $0["token"]?.stringValue })
        }
        for isStreamed in [false, true] {
            for (stop, text, tokens) in [
                ("world again", "Hello ", ["Hello", " world"]), (" again", "Hello world", ["Hello", " world"]),
                ("lo world", "Hel", ["Hello"]), ("Hello", "", []),
                ("never", "Hello world again and more", ["Hello", " world", " again", " and", " more"]),
            ] {
                let result = try await scored(stop, isStreamed)
                #expect(result.text == text && result.tokens == tokens, "\(stop) \(isStreamed) \(result)")
            }
        }
    }

    @Test(arguments: 0...4) func aPromptIsScoredWhateverTheLimit(limit: Int) async throws {
        let service = try ScriptedService(ScriptedFile(["Hello", " world", " again"]))
        for members: JSONValue in [[:], ["stop": ["Hello"]]] {
            var body = try #require(members.objectValue)
            body["prompt"] = "abc\n"
            (body["max_tokens"], body["echo"], body["logprobs"]) = (.int(limit), true, 1)
            let scores = try await service.ask("/v1/completions", .object(body)).json["choices"]?[0]?["logprobs"]
            let values = try #require(scores?["token_logprobs"]?.arrayValue)
            #expect(values.first == .null && values.dropFirst().prefix(3).allSatisfy { $0 != .null })
            #expect(values.count >= 4, "\(values)")
        }
    }
}
