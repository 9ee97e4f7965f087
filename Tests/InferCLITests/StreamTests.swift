import Foundation
import GGUF
import TestSupport
import Testing

/// What comes in and goes out: standard input, standard output, files that are written.
@Suite(.timeLimit(.minutes(10))) struct StreamTests {
    let directory: TemporaryDirectory
    let model: String

    init() throws {
        directory = try TemporaryDirectory()
        model = try ToyModel.llama.write(to: directory)
    }

    /// What `--raw --echo` prints of the prompt that was put together.
    private func prompt(_ arguments: [String], input: String = "") throws -> String {
        let result = try InferProcess.run(
            ["-m", model, "--raw", "--echo", "-n", "0", "--temp", "0"] + arguments, input: input)
        #expect(result.status == 0, "\(result.errors)")
        return result.output
    }

    // MARK: Output

    @Test(arguments: [
        ["-m", "MODEL", "-n", "3", "hello"], ["-m", "MODEL", "-n", "3", "--json-output", "hello"],
        ["-m", "MODEL", "-n", "3", "--raw", "--echo", "hello"], ["embed", "-m", "MODEL", "hello"],
        ["embed", "-m", "MODEL", "--json", "hello"], ["inspect", "MODEL"], ["inspect", "--json", "MODEL"],
        ["tokenize", "-m", "MODEL", "hello"], ["tokenize", "-m", "MODEL", "--json", "hello"],
        ["tokenize", "-m", "MODEL", "--count", "hello"], ["eval", "perplexity", "-m", "MODEL", "-c", "8", "TEXT"],
        ["quantize", "MODEL", "TARGET", "Q8_0", "--dry-run"], ["edit", "MODEL", "TARGET", "--name", "x"],
        ["bench", "-m", "MODEL", "-p", "4", "-n", "0", "-r", "1"], ["synth", "--list"],
        ["debug", "tokenize", "-m", "MODEL"], ["debug", "detokenize", "-m", "MODEL"], ["debug", "template"],
        ["debug", "toolcalls"], ["debug", "grammar"], ["--help"], ["run", "--help"],
    ])
    func aFullDiskIsTold(arguments: [String]) throws {
        let text = try directory.write(Array(String(repeating: "hello world ", count: 20).utf8), to: "text")
        let places = ["MODEL": model, "TEXT": text, "TARGET": directory.path("target.gguf")]
        let isDoor = arguments[0] == "debug"
        let result = try InferProcess.run(
            arguments.map { places[$0] ?? $0 }, input: isDoor ? "{}\n" : "",
            folder: RepositoryFiles.root.path, output: "/dev/full")
        #expect(result.status == 1)
        #expect(result.errors == "Error: cannot write to standard output: no space left on device\n")
    }

    /// The end of `infer … | head -1`: by the signal, without a word, whoever started it.
    @Test(arguments: [
        ["tokenize", "-m", "MODEL", "hello"], ["inspect", "MODEL"], ["embed", "-m", "MODEL", "hello"],
        ["debug", "template"], ["--help"],
    ])
    func aClosedPipeEndsQuietly(arguments: [String]) throws {
        let errors = directory.path("errors")
        let command = ([InferProcess.executable.path] + arguments.map { $0 == "MODEL" ? model : $0 })
            .map { "'\($0)'" }.joined(separator: " ")
        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        // The reader is gone before the command begins, also where SIGPIPE was set aside.
        let script = "(sleep 0.3; echo '{}' | \(command) 2> '\(errors)'; echo $? > '\(errors).status') | true"
        process.arguments = ["-c", "trap '' PIPE; \(script)"]
        try process.run()
        process.waitUntilExit()
        for _ in 0..<1000 where !FileManager.default.fileExists(atPath: errors + ".status") { usleep(10_000) }
        usleep(10_000)
        #expect(try String(contentsOfFile: errors, encoding: .utf8) == "")
        #expect(try String(contentsOfFile: errors + ".status", encoding: .utf8) == "\(128 + SIGPIPE)\n")
    }

    @Test(arguments: [
        ["bench", "-m", "MODEL", "-p", "4", "-n", "0", "-r", "1", "--plot", "TARGET"],
        ["debug", "logits", "-m", "MODEL", "--tokens", "1,2,3", "--output", "TARGET"],
        ["debug", "logits", "-m", "MODEL", "--tokens", "1,2,3", "--all", "--output", "TARGET"],
        ["quantize", "MODEL", "TARGET", "F16"], ["edit", "MODEL", "TARGET", "--name", "x"],
        ["synth", "--preset", "qwen3.5-9b", "--layers", "1", "-o", "TARGET"],
        ["calibrate", "MODEL", "TEXT", "-o", "TARGET"],
        ["eval", "perplexity", "-m", "MODEL", "-c", "8", "TEXT", "--output", "TARGET"],
        ["eval", "perplexity", "-m", "MODEL", "-c", "8", "TEXT", "--save-logits", "TARGET"],
    ])
    func whatIsNoFileKeepsItsPlace(arguments: [String]) throws {
        let target = directory.path("pipe")
        #expect(mkfifo(target, 0o600) == 0)
        let text = try directory.write(Array(String(repeating: "hello world ", count: 50).utf8), to: "text")
        let places = ["MODEL": model, "TEXT": text, "TARGET": target]
        let result = try InferProcess.run(
            arguments.map { places[$0] ?? $0 }, folder: RepositoryFiles.root.path)
        #expect(result.status == 1)
        #expect(result.errors.contains("is not a regular file"), "\(result.errors)")
        let kind = try FileManager.default.attributesOfItem(atPath: target)[.type] as? FileAttributeType
        #expect(kind != nil && kind != .typeRegular)
        #expect(try directory.contents().filter { $0.hasSuffix(".part") } == [])
    }

    @Test func logitsAreWrittenWholeOrNotAtAll() throws {
        let target = directory.path("logits.bin")
        let arguments = ["debug", "logits", "-m", model, "--all", "--output", target, "--tokens"]
        #expect(try InferProcess.run(arguments + ["1,2,99999999"]).status == 1)
        #expect(!FileManager.default.fileExists(atPath: target))
        #expect(try InferProcess.run(arguments + ["1,2,3"]).status == 0)
        let size = try FileManager.default.attributesOfItem(atPath: target)[.size] as? Int
        #expect(size.map { $0 > 0 && $0 % 12 == 0 } == true)
    }

    // MARK: Prompts

    @Test func aQuestionComesBeforeItsText() throws {
        let file = try directory.write(Array("from a file\n".utf8), to: "text")
        let none = try directory.write(Array(" \n".utf8), to: "blank")
        #expect(try prompt(["Why", "so?"], input: "a text\n") == "Why so?\n\na text\n")
        #expect(try prompt(["-p", "Why?"], input: "a text\r\n") == "Why?\n\na text\n")
        #expect(try prompt(["Why?", "-f", file], input: "not read") == "Why?\n\nfrom a file\n")
        #expect(try prompt(["-p", "Why?", "-f", file]) == "Why?\n\nfrom a file\n")
        #expect(try prompt(["Why?", "-f", "-"], input: "a text") == "Why?\n\na text\n")
        // Nothing to ask about.
        #expect(try prompt(["Why?"]) == "Why?\n")
        #expect(try prompt(["Why?"], input: "\n") == "Why?\n")
        #expect(try prompt(["Why?", "-f", none]) == "Why?\n")
    }

    @Test(arguments: ["Once", "Once\n", "Once\r\n", "\u{FEFF}Once\n", "\u{FEFF}Once\r\n"])
    func theEndOfAFileIsNoPartOfThePrompt(text: String) throws {
        let file = try directory.write(Array(text.utf8), to: "prompt")
        #expect(try prompt(["-f", file]) == "Once\n")
        #expect(try prompt([], input: text) == "Once\n")
    }

    @Test func lineBreaksWithinAPromptStay() throws {
        #expect(try prompt([], input: "a\r\n\r\n\r\nb\r\n\r\n") == "a\r\n\r\n\r\nb\r\n")
        let empty = try InferProcess.run(["-m", model], input: "\r\n")
        #expect(empty.status == 64 && empty.errors.contains("the prompt is empty"))
    }

    /// Schemas, grammars, templates and requests as editors on Windows write them.
    @Test func filesWithCarriageReturnsAndMarks() throws {
        let schema = try directory.write(
            Array("\u{FEFF}{\"type\": \"integer\",\r\n\"minimum\": 7, \"maximum\": 7}\r\n".utf8), to: "s.json")
        let grammar = try directory.write(Array("\u{FEFF}root ::= a\r\na ::= \"7\"\r\n".utf8), to: "g.gbnf")
        let template = try directory.write(Array("\u{FEFF}{{ messages[0].content }}\r\n".utf8), to: "t.jinja")
        for form in [["-j", schema], ["--grammar-file", grammar]] {
            let result = try InferProcess.run(["-m", model, "--chat-template-file", template, "hello"] + form)
            #expect(result.output == "7\n", "\(form) \(result.errors)")
        }
        let plain = try InferProcess.run(["-m", model, "--raw", "-n", "5", "--temp", "0", "hello"])
        let same = try InferProcess.run(
            ["-m", model, "--chat-template-file", template, "-n", "5", "--temp", "0", "hello"])
        #expect(same.output == plain.output)
        let door = try InferProcess.run(
            ["debug", "tokenize", "-m", model], input: "\u{FEFF}{\"text\": \"hello\"}\r\n{\"text\": \"hello\"}\r\n")
        let lines = door.output.split(separator: "\n")
        #expect(lines.count == 2 && lines.first == lines.last && !door.output.contains("error"))
    }

    // MARK: Split files

    @Test(arguments: [
        ["-m", "PART", "-n", "1", "hello"], ["inspect", "PART"], ["embed", "-m", "PART", "hello"],
        ["tokenize", "-m", "PART", "hello"], ["quantize", "PART", "TARGET", "Q8_0", "--dry-run"],
        ["merge", "PART", "TARGET"], ["bench", "-m", "PART", "-p", "2", "-n", "0", "-r", "1"],
        ["debug", "logits", "-m", "PART", "--tokens", "1", "--output", "TARGET"],
    ])
    func anyPartIsTheModelAndAMissingOneIsNamed(arguments: [String]) throws {
        var rule = GGUFSplitRule()
        rule.maximumTensors = 5
        let parts = try ToyModel.llama.writer().write(splitPrefix: directory.path("p"), rule: rule).map { $0.path }
        try #require(parts.count > 2)
        func run(_ part: String) throws -> InferProcess.Result {
            let places = ["PART": part, "TARGET": directory.path("target.gguf")]
            let result = try InferProcess.run(arguments.map { places[$0] ?? $0 })
            try? FileManager.default.removeItem(atPath: directory.path("target.gguf"))
            return result
        }
        for part in [parts[0], parts[2]] {
            let result = try run(part)
            #expect(result.status == 0, "\(result.errors)")
        }
        // A folder of links, as the hub's client leaves it.
        let links = directory.url.appending(path: "links")
        try FileManager.default.createDirectory(at: links, withIntermediateDirectories: true)
        for (number, part) in parts.enumerated() {
            let hash = directory.path("blob\(number)")
            try FileManager.default.moveItem(atPath: part, toPath: hash)
            try FileManager.default.createSymbolicLink(
                atPath: links.appending(path: URL(filePath: part).lastPathComponent).path,
                withDestinationPath: "../blob\(number)")
        }
        let linked = parts.map { links.appending(path: URL(filePath: $0).lastPathComponent).path }
        #expect(try run(linked[1]).status == 0)
        try FileManager.default.removeItem(atPath: linked[1])
        let missing = try run(linked[0])
        #expect(missing.status == 1 && missing.output.isEmpty)
        #expect(missing.errors.contains("\(linked[1])"), "\(missing.errors)")
        #expect(missing.errors.contains("no such file or directory"), "\(missing.errors)")
        #expect(missing.errors.filter { $0 == "\n" }.count == 1)
    }

    // MARK: Words of other engines

    @Test(arguments: [["-hf", "Qwen/x"], ["-hfr", "Qwen/x"], ["run", "-hf", "Qwen/x"], ["-hunk"]])
    func optionsOfOtherEnginesAreNotHelp(arguments: [String]) throws {
        let result = try InferProcess.run(arguments)
        #expect(result.status == 64)
        #expect(result.errors.hasPrefix("Error: Unknown option '-h"))
        #expect(result.errors.contains("models are not downloaded") == arguments.contains("Qwen/x"))
    }

    @Test func helpIsStillHelp() throws {
        for arguments in [["-h"], ["--help"], ["bench", "-h"]] {
            #expect(try InferProcess.run(arguments).status == 0)
        }
    }

    @Test(arguments: ["Qwen/Qwen3-4B-GGUF", "https://example.com/model.gguf"])
    func modelsOfTheNetAreExplained(name: String) throws {
        let result = try InferProcess.run(["-m", name, "hello"])
        #expect(result.status == 1)
        #expect(result.errors.hasPrefix("Error: cannot read \(name): "))
        #expect(result.errors.contains("models are not downloaded"))
    }

    @Test(arguments: [
        (["--temp", "-3"], "temperature is -3, expected 0 to 1000000"),
        (["--temp", "nan"], "temperature is not a number, expected 0 to 1000000"),
        (["--top-p", "7"], "top-p is 7, expected 0 to 1"),
        (["--repeat-penalty", "0"], "repetition penalty is 0, expected 0.001 to 1000"),
    ])
    func rangesAreToldAsPeopleWriteThem(arguments: [String], message: String) throws {
        let result = try InferProcess.run(["-m", model, "hello"] + arguments)
        #expect(result.status == 64)
        #expect(result.errors.contains(message), "\(result.errors)")
    }

    @Test func presetsThatAreNotThereAreExplained() throws {
        let result = try InferProcess.run(["synth", "--list", "--presets", directory.path("none")])
        #expect(result.status == 1)
        #expect(result.output.contains("quantizations: "))
        #expect(result.errors.contains("there is no folder \(directory.path("none"))"))
    }

    @Test(arguments: [
        (["pull", "qwen3"], "there is no subcommand 'pull': models are not downloaded"),
        (["run", "pull"], "there is no subcommand 'pull'"), (["model.gguf", "hi"], "--model model.gguf"),
        (["serve", "model.gguf"], "--model model.gguf"), (["chat"], "infer --model FILE starts a chat"),
    ])
    func aMissingModelIsExplained(arguments: [String], message: String) throws {
        let result = try InferProcess.run(arguments)
        #expect(result.status == 64)
        #expect(result.errors.hasPrefix("Error: Missing expected argument '--model") && result.errors.contains(message))
    }

    // MARK: A terminal

    @Test func keysOfOtherTerminals() throws {
        let chat = try TerminalSession(["-m", model, "--chat-format", "chatml", "-n", "1"])
        try chat.wait(for: "> ")
        // Latin-1's é, then Enter: the line is taken.
        try chat.type(bytes: Array("caf".utf8) + [0xE9, 0x0D])
        try chat.wait(for: "[the limit of tokens was reached]")
        try chat.wait(for: "> ")
        try chat.type("/ab")
        try chat.type("\u{1b}")
        usleep(300_000)
        try chat.type("xyz\r")
        try chat.wait(for: "there is no /abxyz")
        try chat.wait(for: "> ")
        try chat.type("\u{4}")
        #expect(chat.end() == 0)
    }
}
