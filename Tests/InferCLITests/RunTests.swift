import Foundation
import GGUF
import TestSupport
import Testing

private let model = RepositoryFiles.model

/// Never ends by itself within the time of a test.
private func endlessModel(_ directory: TemporaryDirectory) throws -> String {
    var toy = ToyModel.llama
    toy["llama.context_length"] = .uint32(1_000_000)
    return try toy.write(to: directory)
}

@Suite(.timeLimit(.minutes(10))) struct RunTests {
    @Test func theAnswerGoesToStandardOutputAlone() throws {
        let result = try InferProcess.run(["--model", model, "--temp", "0", "What is 17 + 25?"])
        #expect(result.status == 0)
        #expect(result.output.contains("42"))
        #expect(result.output.hasSuffix("\n"))
        #expect(result.errors.isEmpty)
    }

    @Test(arguments: [
        ["-p", "What is 17 + 25?"], ["What is", "17 + 25?"], ["run", "What is 17 + 25?"], ["-f", "-"], [],
    ])
    func everyWayToGiveThePrompt(arguments: [String]) throws {
        let isArgument = arguments.contains { $0.contains("25") }
        let expected = try InferProcess.run(["-m", model, "--temp", "0", "What is 17 + 25?"])
        // Options follow a subcommand.
        let result = try InferProcess.run(
            arguments + ["-m", model, "--temp", "0"], input: isArgument ? "" : "What is 17 + 25?\n")
        #expect(result.output == expected.output)
        #expect(result.status == 0)
    }

    @Test func aPromptFromAFile() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(Array("What is 17 + 25?\n".utf8), to: "prompt.txt")
        let result = try InferProcess.run(["-m", model, "--temp", "0", "-f", path])
        #expect(result.output.contains("42"))
        let missing = try InferProcess.run(["-m", model, "-f", directory.path("nothing.txt")])
        #expect(missing.status == 1)
        #expect(missing.errors == "Error: cannot read \(directory.path("nothing.txt")): no such file or directory\n")
        let binary = try directory.write([0xFF, 0xFE, 0], to: "binary")
        #expect(try InferProcess.run(["-m", model, "-f", binary]).errors == "Error: \(binary) is not UTF-8 text\n")
    }

    @Test func theSameSeedGivesTheSameText() throws {
        func story(_ seed: String, _ more: [String] = []) throws -> String {
            try InferProcess.run(["-m", model, "--raw", "Once upon a time", "-n", "40", "-s", seed] + more).output
        }
        let first = try story("5")
        #expect(try story("5") == first)
        #expect(try story("5", ["-t", "1", "-b", "1"]) == first)
        #expect(try story("6") != first)
    }

    @Test func jsonHasTextAndFigures() throws {
        let result = try InferProcess.run(
            ["-m", model, "--raw", "--echo", "Once upon a time", "-n", "8", "--temp", "0", "--json-output", "-s", "3"])
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        let text = try #require(object?["text"] as? String)
        #expect(text.hasPrefix("Once upon a time,"))
        #expect(object?["finish_reason"] as? String == "length")
        #expect(object?["seed"] as? Int == 3)
        let usage = object?["usage"] as? [String: Any]
        #expect(usage?["completion_tokens"] as? Int == 8)
        #expect(usage?["prompt_tokens"] as? Int == 4)
        #expect(result.output.filter { $0 == "\n" }.count == 1)
    }

    @Test func stopSequencesAreNotPrinted() throws {
        let arguments = ["-m", model, "--raw", "Once upon a time", "--temp", "0", "-n", "60"]
        let whole = try InferProcess.run(arguments).output
        let stopped = try InferProcess.run(arguments + ["--stop", "zebra", "--stop", " was a"]).output
        let cut = try #require(whole.range(of: " was a"))
        #expect(stopped == whole[..<cut.lowerBound] + "\n")
    }

    @Test func verboseFiguresGoToStandardError() throws {
        let result = try InferProcess.run(["-m", model, "-v", "-n", "4", "-s", "77", "Hi"])
        for word in ["qwen35moe", "seed 77", "tokens/s"] { #expect(result.errors.contains(word)) }
        #expect(!result.output.contains("tokens/s"))
    }

    @Test(arguments: [
        [], ["Hi"], ["-m"], ["-m", "x", "--nonsense", "Hi"], ["-m", "x", "--temp", "hot", "Hi"],
        ["-m", "x", "--top-p", "7", "Hi"], ["-m", "x", "-n", "-3", "Hi"], ["-m", "x", "-p", "a", "b"],
        ["-m", "x", "--raw", "--system", "s", "Hi"], ["-m", "x", "--samplers", "top_k;luck", "Hi"],
        ["-m", "x", "--logit-bias", "12", "Hi"], ["-m", "x", "-ctk", "f64", "Hi"], ["-m", "x", "   "],
    ])
    func wrongUsageIsExplained(arguments: [String]) throws {
        let result = try InferProcess.run(arguments)
        #expect(result.status == 64)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("Error: "))
        #expect(result.errors.contains("--help"))
    }

    @Test func filesThatCannotBeUsedAreOneLine() throws {
        let directory = try TemporaryDirectory()
        let bytes = try ToyModel.llama.bytes()
        let cut = try directory.write(Array(bytes[..<1000]), to: "cut.gguf")
        let text = try directory.write(Array("hello".utf8), to: "text.gguf")
        for path in [directory.path("missing.gguf"), cut, text, directory.url.path] {
            let result = try InferProcess.run(["-m", path, "Hi"])
            #expect(result.status == 1)
            #expect(result.output.isEmpty)
            #expect(result.errors.hasPrefix("Error: "))
            #expect(result.errors.contains(path))
            #expect(result.errors.filter { $0 == "\n" }.count == 1)
        }
    }

    @Test func aModelWithoutATemplateTakesTheDefault() throws {
        let directory = try TemporaryDirectory()
        let path = try ToyModel.llama.write(to: directory)
        let result = try InferProcess.run(["-m", path, "--temp", "0", "-n", "3", "hello"])
        #expect(result.status == 0)
        let same = try InferProcess.run(["-m", path, "--chat-format", "chatml", "--temp", "0", "-n", "3", "hello"])
        #expect(same.output == result.output)
    }

    @Test func aTemplateOfTheUserTakesThePlaceOfTheFiles() throws {
        let directory = try TemporaryDirectory()
        let story = try directory.write(Array("{{ messages[0].content }} upon a time".utf8), to: "story.jinja")
        let expected = try InferProcess.run(["-m", model, "--temp", "0", "-n", "9", "--raw", "Once upon a time"])
        let result = try InferProcess.run(
            ["-m", model, "--temp", "0", "-n", "9", "--chat-template-file", story, "Once"])
        #expect(result.output == expected.output)
        let broken = try directory.write(Array("{% if %}".utf8), to: "broken.jinja")
        let failed = try InferProcess.run(["-m", model, "--chat-template-file", broken, "Once"])
        #expect(failed.status == 1)
        #expect(failed.errors.hasPrefix("Error: the model's chat template cannot be read: syntax: "))
        let refusing = try directory.write(Array("{{ raise_exception('No, thanks.') }}".utf8), to: "no.jinja")
        let refused = try InferProcess.run(["-m", model, "--chat-template-file", refusing, "Once"])
        #expect(refused.errors == "Error: the model's chat template refuses the conversation: No, thanks.\n")
    }

    @Test(arguments: [["--help"], ["run", "--help"], ["debug", "--help"]])
    func helpExplains(arguments: [String]) throws {
        let result = try InferProcess.run(arguments)
        #expect(result.status == 0)
        #expect(result.output.hasPrefix("OVERVIEW: "))
    }

    @Test func anInterruptPrintsWhatThereIs() throws {
        let directory = try TemporaryDirectory()
        let process = Process()
        let output = Pipe()
        process.executableURL = InferProcess.executable
        process.arguments = ["-m", try endlessModel(directory), "--raw", "hello", "--ignore-eos", "-c", "1000000"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        try process.run()
        let first = try output.fileHandleForReading.next()
        process.interrupt()
        _ = try output.fileHandleForReading.readToEnd()
        process.waitUntilExit()
        #expect(!first.isEmpty)
        #expect(process.terminationReason == .exit)
        #expect(process.terminationStatus == 130)
    }

    @Test func aReaderThatGoesAwayEndsTheCommandQuietly() throws {
        let directory = try TemporaryDirectory()
        let process = Process()
        let output = Pipe()
        let errors = Pipe()
        process.executableURL = InferProcess.executable
        process.arguments = ["-m", try endlessModel(directory), "--raw", "hello", "--ignore-eos", "-c", "1000000"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        _ = try output.fileHandleForReading.next()
        try output.fileHandleForReading.close()
        #expect(try errors.fileHandleForReading.readToEnd() ?? Data() == Data())
        process.waitUntilExit()
    }
}
