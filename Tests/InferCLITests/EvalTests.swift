import ArgumentParser
import ChatTemplates
import Foundation
import FoundationXML
import GGUF
import ModelTools
import TestSupport
import Testing

@testable import InferCLI

@Suite struct EvalTests {
    private static let words = String(repeating: "hello world, the fox and the hen sat down. ", count: 4)

    private func eval(_ arguments: [String], status: Int32 = 0) throws -> InferProcess.Result {
        let result = try InferProcess.run(["eval"] + arguments)
        #expect(result.status == status, "\(result.errors)")
        return result
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    private func value(_ object: [String: Any], _ key: String) throws -> Double {
        if let number = object[key] as? Double { return number }
        return try #require((object[key] as? [String: Any])?["value"] as? Double, "\(key)")
    }

    private func write(_ text: String, _ name: String, _ directory: TemporaryDirectory) throws -> String {
        try directory.write(Array(text.utf8), to: name)
    }

    // MARK: Perplexity and divergence

    @Test func perplexityAndDivergence() throws {
        let directory = try TemporaryDirectory()
        let model = try ToyModel.llama.write(to: directory)
        var other = ToyModel.llama
        other.random("output.weight", [32, 268], scale: 0.2)
        let changed = try other.write(to: directory, name: "other.gguf")
        let text = try write(Self.words, "text", directory)
        let (logits, output) = (directory.path("reference.logits"), directory.path("out.json"))

        let result = try eval([
            "perplexity", "-m", model, text, "-c", "32", "--stride", "8", "--save-logits", logits, "--output", output,
            "--json",
        ])
        let perplexity = try object(result.output)
        #expect(try object(String(contentsOfFile: output, encoding: .utf8))["complete"] as? Bool == true)
        let tokens = try #require(perplexity["text_tokens"] as? Int)
        #expect(perplexity["tokens"] as? Int == tokens - 1)
        #expect(abs(log(try value(perplexity, "perplexity")) - (try value(perplexity, "nats_per_token"))) < 1e-12)
        let bytes = try #require(perplexity["bytes"] as? Int)
        let bits = try value(perplexity, "nats_per_token") * Double(tokens - 1) / Double(bytes) / log(2)
        #expect(abs(try value(perplexity, "bits_per_byte") - bits) < 1e-12)
        // Finished, so that nothing is left to go on with.
        #expect(try directory.contents() == ["other.gguf", "out.json", "reference.logits", "text", "toy.gguf"])

        let stored = try object(try eval(["kl", "-m", changed, "--reference", logits, "--json"]).output)
        let direct = try object(
            try eval(["kl", "-m", changed, "--reference", model, text, "-c", "32", "--stride", "8", "--json"]).output)
        #expect(stored["tokens"] as? Int == tokens - 1)
        for key in ["kl_mean", "kl_median", "kl_99", "kl_99_9", "kl_maximum", "perplexity"] {
            let (a, b) = (try value(stored, key), try value(direct, key))
            #expect(abs(a - b) < 1e-5 && b > 1e-5, "\(key) \(a) \(b)")
        }
        #expect(try value(stored, "top_1_agreement") == value(direct, "top_1_agreement"))
        #expect(
            abs(try value(direct, "reference_perplexity") / value(perplexity, "perplexity") - 1) < 1e-12)
        let table = try eval(["kl", "-m", changed, "--reference", logits, text]).output
        for line in ["KL mean", "KL 99.9 %", "same top token"] { #expect(table.contains(line)) }
        // Another text than that of the logits.
        let letter = try write("a letter", "letter", directory)
        #expect(
            try eval(["kl", "-m", changed, "--reference", logits, letter], status: 1).errors.contains("another text"))
    }

    /// A run that found a state goes on behind it.
    @Test func aKeptStateIsUsed() throws {
        let directory = try TemporaryDirectory()
        let model = try ToyModel.llama.write(to: directory)
        let text = try write(Self.words, "text", directory)
        let state = directory.path("state")
        let arguments = ["perplexity", "-m", model, text, "-c", "16", "--json", "--state", state]
        let whole = try object(try eval(arguments).output)
        let lines = try String(contentsOfFile: state, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == (whole["windows"] as? Int ?? 0) + 1)
        // What is left of a run that was ended, one number of which tells that it is not computed again.
        let kept = lines.prefix(4).joined(separator: "\n").replacing("\"count\":8", with: "\"count\":1000008")
        try Data((kept + "\n").utf8).write(to: URL(filePath: state))
        let resumed = try object(try eval(arguments).output)
        #expect((resumed["tokens"] as? Int ?? 0) - (whole["tokens"] as? Int ?? 0) >= 1_000_000)
        let error = try eval(arguments + ["--stride", "3"], status: 1).errors
        #expect(error.contains("belongs to another evaluation"))
    }

    @Test func anInterruptKeepsWhatIsDone() throws {
        let directory = try TemporaryDirectory()
        let model = try ToyModel.llama.write(to: directory)
        // Far more than is done before the interrupt comes.
        let text = try write(String(repeating: Self.words, count: 3000), "text", directory)
        let state = directory.path("state")
        let session = try TerminalSession(
            ["eval", "perplexity", "-m", model, text, "-c", "32", "--stride", "32", "--state", state],
            environment: ["INFER_TEST_PAUSE": "evaluation"])
        try session.wait(for: " left")
        try session.interrupt()
        // What there is comes first.
        try session.wait(for: "perplexity")
        try session.wait(for: "the same command goes on")
        #expect(session.end() == 130)
        let lines = try String(contentsOfFile: state, encoding: .utf8).split(separator: "\n")
        #expect(lines.count > 1)
        #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") })
    }

    @Test func whatCannotBeEvaluated() throws {
        let directory = try TemporaryDirectory()
        let model = try ToyModel.llama.write(to: directory)
        let text = try write(Self.words, "text", directory)
        let empty = try write("", "empty", directory)
        let binary = try directory.write([0x61, 0xff, 0xfe], to: "binary")
        for (arguments, message) in [
            (["perplexity", "-m", model, empty], "empty"), (["perplexity", "-m", model, binary], "UTF-8"),
            (["perplexity", "-m", model, directory.path("nothing")], "cannot read"),
            (["perplexity", "-m", model, text, "-c", "4096"], "4096"),
            (["perplexity", "-m", model, text, "--stride", "600"], "stride"),
            (["kl", "-m", model, "--reference", text, text], "GGUF"),
        ] {
            #expect(try eval(arguments, status: 1).errors.contains(message), "\(arguments)")
        }
        #expect(try eval(["kl", "-m", model, "--reference", model], status: 64).errors.contains("text is missing"))
        #expect(try eval(["perplexity", "-m", model, text, "-c", "1"], status: 64).errors.contains("--ctx-size"))
        #expect(try directory.contents() == ["binary", "empty", "text", "toy.gguf"])
    }

    // MARK: Items

    private func items(_ text: String) throws -> EvalItems {
        let directory = try TemporaryDirectory()
        return try EvalItems(path: try write(text, "items.jsonl", directory))
    }

    private static let good = #"{"prompt": "A", "choices": ["b", "c"], "answer": 1}"#

    @Test func choicesAreRead() throws {
        let found = try items(Self.good + "\r\n\n" + #"{"answer": "é", "choices": ["e\u0301", "é"], "prompt": ""}"#)
            .choices()
        #expect(found.map { $0.line } == [1, 3])
        // Told apart by their code points.
        #expect(found.map { $0.answer } == [1, 1])
        #expect(found[0].prompt == "A" && found[0].choices == ["b", "c"])
    }

    @Test(
        arguments: [
            ("{", "line 2"), ("[1]", "line 2: expected a JSON object"), ("{\"a\": 1} x", "line 2"),
            (#"{"choices": ["b", "c"], "answer": 1}"#, #"line 2: "prompt" is missing"#),
            (#"{"prompt": 3, "choices": ["b", "c"], "answer": 1}"#, "line 2: \"prompt\" is not a text"),
            (#"{"prompt": "A", "answer": 1}"#, "line 2: \"choices\" is missing"),
            (#"{"prompt": "A", "choices": ["b"], "answer": 0}"#, "line 2: there is one choice"),
            (#"{"prompt": "A", "choices": ["b", ""], "answer": 0}"#, "line 2: a choice is empty"),
            (#"{"prompt": "A", "choices": ["b", 1], "answer": 0}"#, "line 2"),
            (#"{"prompt": "A", "choices": ["b", "c"], "answer": 2}"#, "line 2: \"answer\" is 2, expected 0 to 1"),
            (#"{"prompt": "A", "choices": ["b", "c"], "answer": -1}"#, "line 2"),
            (#"{"prompt": "A", "choices": ["b", "c"], "answer": "d"}"#, "line 2: \"answer\" is none of the choices"),
            (#"{"prompt": "A", "choices": ["b", "c"], "answer": 0.5}"#, "line 2"),
            (#"{"prompt": "A", "choices": ["b", "c"]}"#, "line 2: \"answer\" is missing"),
            ("\u{0}", "line 2"),
        ])
    func badChoices(line: String, message: String) throws {
        do {
            _ = try items(Self.good + "\n" + line + "\n" + Self.good).choices()
            // A line without anything is passed over.
            #expect(line == "\u{0}")
        } catch let error as CommandError {
            #expect(error.description.contains(message), "\(error)")
        }
    }

    @Test(
        arguments: [
            (#"{"prompt": "A"}"#, "one of \"answer\" and \"regex\""),
            (#"{"prompt": "A", "answer": "b", "regex": "c"}"#, "one of"),
            (#"{"prompt": "A", "regex": "("}"#, "no regular expression"),
            (#"{"prompt": "A", "messages": [], "answer": "b"}"#, "one of \"prompt\" and \"messages\""),
            (#"{"messages": [{"role": "king", "content": "x"}], "answer": "b"}"#, "role"),
            (#"{"messages": "x", "answer": "b"}"#, "not an array"), (#"{"prompt": "A", "answer": []}"#, "answer"),
        ])
    func badPrompts(line: String, message: String) throws {
        do {
            _ = try items("\n" + line).prompts()
            Issue.record("accepted")
        } catch let error as CommandError {
            #expect(error.description.contains("line 2: ") && error.description.contains(message), "\(error)")
        }
    }

    @Test(
        arguments: [
            (#""answer": "42""#, " 42\n", nil, false, true), (#""answer": "42""#, "It is 42", nil, false, false),
            (#""answer": ["a", "B"]"#, "B", nil, false, true), (#""answer": ["a", "B"]"#, "b", nil, false, false),
            (#""answer": ["a", "B"]"#, "b", nil, true, true), (#""regex": "^4\\d$""#, "42", nil, false, true),
            (#""regex": "^4\\d$""#, "142", nil, false, false), (#""regex": "PO|ARNO""#, "the Po", nil, true, true),
            (#""answer": "42""#, "1 + 41 = 42.", #"(\d+)\.$"#, false, true),
            (#""answer": "42""#, "first 41, then 42", #"\d+"#, false, true),
            (#""answer": "42""#, "no number", #"\d+"#, false, false),
        ] as [(String, String, String?, Bool, Bool)])
    func whatIsRight(field: String, answer: String, extract: String?, ignoresCase: Bool, isRight: Bool) throws {
        let item = try #require(try items("{\"prompt\": \"A\", \(field)}").prompts().first)
        #expect(item.accepts(answer, extract: try extract.map { try Regex($0) }, ignoresCase: ignoresCase) == isRight)
    }

    @Test func choiceAndGenerate() throws {
        let directory = try TemporaryDirectory()
        let questions = """
            {"prompt": "What is 2 + 3? 2 + 3 =", "choices": ["9.", "5."], "answer": 1}
            {"prompt": "Once upon a", "choices": ["quickly", "time"], "answer": "time"}
            """
        let state = directory.path("kept.jsonl")
        let choice = try object(
            try eval([
                "choice", "-m", RepositoryFiles.model, try write(questions, "q", directory), "--json", "--state", state,
            ]).output)
        #expect(choice["items"] as? Int == 2)
        #expect(try value(choice, "acc") == 1)
        let records = try String(contentsOfFile: state, encoding: .utf8).split(separator: "\n").dropFirst()
        #expect(try records.map { try object(String($0))["line"] as? Int } == [1, 2])

        let prompts = """
            {"prompt": "What is 17 + 25?", "answer": "17 + 25 = 42."}
            {"messages": [{"role": "user", "content": "What is 17 + 25?"}], "regex": "= 42"}
            {"prompt": "What is 17 + 25?", "answer": "42"}
            """
        let path = try write(prompts, "p", directory)
        let generate = try object(try eval(["generate", "-m", RepositoryFiles.model, path, "--json"]).output)
        #expect(abs(try value(generate, "correct") - 2.0 / 3) < 1e-12)
        #expect(generate["cut_off"] as? Int == 0)
        let extracted = try eval([
            "generate", "-m", RepositoryFiles.model, path, "--extract", #"(\d+)\.$"#, "-n", "12", "--json",
        ])
        #expect(abs(try value(try object(extracted.output), "correct") - 1.0 / 3) < 1e-12)
        // Plain text goes on instead of being answered.
        let raw = try write(#"{"prompt": "Once upon a", "answer": "time"}"#, "raw", directory)
        let plain = try eval([
            "generate", "--raw", "-m", RepositoryFiles.model, raw, "-n", "1", "--json",
        ])
        #expect(try value(try object(plain.output), "correct") == 1)
        #expect(try object(plain.output)["cut_off"] as? Int == 1)
    }

    // MARK: Several files, experts

    @Test func speedAndQuality() throws {
        let directory = try TemporaryDirectory()
        try ToyModel.llama.write(to: directory, name: "a.gguf")
        var other = ToyModel.llama
        other.random("output.weight", [32, 268], scale: 0.2)
        try other.write(to: directory, name: "b.gguf")
        let text = try write(Self.words, "text", directory)
        let plot = directory.path("plot.svg")
        let arguments = [
            "speed-quality", directory.url.path, "--text", text, "-c", "32", "-p", "8", "-n", "4", "-r", "1", "--json",
        ]
        let found = try object(try eval(arguments + ["--plot", plot]).output)
        #expect((found["reference"] as? String)?.hasSuffix("a.gguf") == true)
        let files = try #require(found["files"] as? [[String: Any]])
        #expect(files.map { $0["file"] as? String } == ["a.gguf", "b.gguf"])
        #expect(try value(files[0], "kl_mean") < 1e-12)
        #expect(try value(files[1], "kl_mean") > 1e-5)
        for file in files {
            #expect(try value(file, "bits_per_weight") == 32)
            let speed = try #require(file["tokens_per_second"] as? [String: Double])
            #expect(speed["median"] ?? 0 > 0)
        }
        let reader = SVGReader()
        let parser = XMLParser(data: try Data(contentsOf: URL(filePath: plot)))
        parser.delegate = reader
        #expect(parser.parse())
        // Three panels; the reference has no divergence; a mark for each line in the legend.
        #expect(reader.counts["circle"] == 1 + 2 + 2 + 3)
        try ToyModel.qwen35moe.write(to: directory, name: "c.gguf")
        #expect(try eval(arguments, status: 1).errors.contains("c.gguf is another model"))
        let nowhere = directory.path("nowhere")
        #expect(try eval(["speed-quality", nowhere, "--text", text], status: 1).errors.contains("nowhere"))
    }

    @Test func experts() throws {
        let directory = try TemporaryDirectory()
        let model = try ToyModel.qwen35moe.write(to: directory)
        let text = try write(Self.words, "text", directory)
        let plot = directory.path("plot.svg")
        let result = try eval(["experts", model, text, "-c", "32", "--json", "--plot", plot, "--pairs", "2"])
        let found = try object(result.output)
        let layers = try #require(found["layers"] as? [[String: Any]])
        #expect(layers.map { $0["layer"] as? Int } == [0, 1])
        for layer in layers {
            let load = try #require(layer["load"] as? [Double])
            #expect(load.count == 4 && abs(load.reduce(0, +) - 2) < 1e-9)
            #expect((layer["repeats"] as? [Double])?.count == 16)
            let rates = try #require(layer["lru_hit_rate"] as? [Double])
            #expect(rates.count == 4 && rates == rates.sorted())
            #expect((layer["pairs"] as? [[String: Any]])?.count == 2)
        }
        let reader = SVGReader()
        let parser = XMLParser(data: try Data(contentsOf: URL(filePath: plot)))
        parser.delegate = reader
        #expect(parser.parse())
        // A page, two panels of two layers and four columns, and their legends.
        #expect(reader.counts["rect"] == 1 + 2 * (8 + 1))
        let table = try eval(["experts", model, text, "-c", "32"]).output
        #expect(table.contains("LRU 2") && table.contains("of 2.00"))

        let dense = try ToyModel.llama.write(to: directory, name: "dense.gguf")
        #expect(try eval(["experts", dense, text], status: 1).errors.contains("no experts"))
    }

    @Test(
        arguments: [(2e-4, 0.03, [1e-4, 1e-3, 1e-2, 1e-1]), (1, 1, [1, 10]), (0, 1, [0.1, 1]), (5, 1, [0.1, 1])]
            as [(Double, Double, [Double])])
    func logarithmicTicks(lowest: Double, highest: Double, expected: [Double]) {
        let ticks = LinePlot.powers(from: lowest, to: highest)
        #expect(ticks.count == expected.count)
        for (found, wanted) in zip(ticks, expected) { #expect(abs(found / wanted - 1) < 1e-12) }
    }

    @Test func tables() {
        var table = EvalTable(["a", "number"])
        table.add(["long", "1"])
        #expect(table.text == "a     number\nlong       1")
    }

    @Test(arguments: [
        (0.2, "1 s"), (59.0, "59 s"), (61.5, "1 min 2 s"), (7325, "2 h 2 min"), (.infinity, "unknown time"),
    ])
    func durations(seconds: Double, text: String) { #expect(EvalRun.duration(seconds) == text) }
}
