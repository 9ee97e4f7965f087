import Foundation
import GGUF
import InferCLI
import InferKit
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct ChatTests {
    @Test func aConversationAtATerminal() throws {
        let directory = try TemporaryDirectory()
        let chat = try TerminalSession(["-m", RepositoryFiles.model, "--temp", "0"])
        try chat.wait(for: "> ")
        try chat.type("What is 17 + 25?\r")
        try chat.wait(for: "42")
        try chat.wait(for: "> ")
        // Keys are the program's own only while it shows its prompt.
        try chat.type("/dance\r")
        try chat.wait(for: "there is no /dance")
        try chat.wait(for: "> ")
        try chat.type("/save \(directory.path("chat.json"))\r")
        try chat.wait(for: "2 messages saved")
        try chat.wait(for: "> ")
        try chat.type("/clear\r")
        try chat.wait(for: "the conversation is empty")
        try chat.wait(for: "> ")
        try chat.type("/save \(directory.path("empty.txt"))\r")
        try chat.wait(for: "0 messages saved")
        try chat.wait(for: "> ")
        try chat.type("\u{3}")
        try chat.wait(for: "/quit or Ctrl-D ends")
        try chat.wait(for: "> ")
        try chat.type("/quit\r")
        #expect(chat.end() == 0)
        let saved = try JSONDecoder().decode(
            Transcript.self, from: Data(contentsOf: URL(filePath: directory.path("chat.json"))))
        #expect(saved.first == .prompt("What is 17 + 25?"))
    }

    @Test func anInterruptStopsTheAnswerAndNotTheChat() throws {
        let directory = try TemporaryDirectory()
        var toy = ToyModel.llama
        toy["llama.context_length"] = .uint32(1_000_000)
        let chat = try TerminalSession(
            ["-m", try toy.write(to: directory), "--chat-format", "chatml", "--ignore-eos", "-c", "1000000"])
        try chat.wait(for: "> ")
        try chat.type("x\r")
        // The line is taken and the terminal given back; what comes then is the answer.
        try chat.wait(for: "\u{1b}[?2004l")
        try chat.waitForMore()
        try chat.interrupt()
        try chat.wait(for: "[stopped]")
        try chat.wait(for: "> ")
        try chat.type("\u{4}")
        #expect(chat.end() == 0)
    }

    @Test func messagesOfSeveralLines() {
        func collect(_ lines: [String]) -> [String] {
            var collector = MessageCollector()
            return lines.compactMap { line in
                defer { if collector.isEmpty { collector = MessageCollector() } }
                guard let message = collector.append(line) else { return nil }
                collector = MessageCollector()
                return message
            }
        }
        #expect(collect(["a", "b"]) == ["a", "b"])
        #expect(collect(["a\\", "b\\", "c", "d"]) == ["a\nb\nc", "d"])
        #expect(collect(["\"\"\"", "a", "", "b", "\"\"\"", "c"]) == ["a\n\nb", "c"])
        #expect(collect(["\"\"\"a", "b\"\"\""]) == ["a\nb"])
        #expect(collect(["\"\"\"a\"\"\""]) == ["a"])
        #expect(collect([""]) == [""])
    }

    @Test(
        arguments: [
            ("", .nothing), ("  \n", .nothing), ("/quit", .quit), ("/exit ", .quit), ("/help", .help), ("/", .help),
            ("/clear", .clear), ("/save  a b.txt ", .save("a b.txt")), ("/save", .save("")),
            ("/sing", .unknown("/sing")),
            ("/etc/hosts is what?", .message("/etc/hosts is what?")), ("hello", .message("hello")),
            ("/quit\nnow", .message("/quit\nnow")),
        ] as [(String, ChatInput)])
    func commandsAndMessages(text: String, expected: ChatInput) {
        #expect(ChatInput(text) == expected)
    }

    @Test func aTranscriptForPeople() {
        let text = ChatInput.text(of: Transcript(entries: [.instructions("S"), .prompt("Hi "), .response("\nYo\n")]))
        #expect(text == "Instructions:\nS\n\nYou:\nHi\n\nModel:\nYo\n")
    }
}

@Suite struct LineEditorTests {
    private func keys(_ bytes: [UInt8]) -> [KeyReader.Key] {
        var rest = bytes[...]
        // 0 in this script is a moment in which nothing comes.
        var reader = KeyReader {
            while rest.first == 0 { rest.removeFirst() }
            return rest.popFirst()
        } isNear: {
            rest.first != 0
        }
        var keys: [KeyReader.Key] = []
        while true {
            let key = reader.next()
            if key == .closed { return keys }
            keys.append(key)
        }
    }

    @Test func bytesBecomeKeys() {
        #expect(keys(Array("aé日🦊\r".utf8)) == [.text("a"), .text("é"), .text("日"), .text("🦊"), .enter])
        #expect(
            keys(Array("\u{1b}[A\u{1b}[B\u{1b}OC\u{1b}[D".utf8)) == [
                .previous, .following, .edit(.right), .edit(.left),
            ])
        #expect(
            keys(Array("\u{1b}[3~\u{1b}[1;5H\u{1b}[4~".utf8)) == [
                .edit(.deleteForward), .edit(.home), .edit(.end),
            ])
        #expect(keys(Array("\u{1b}[200~a\r\u{1b}[Ab\u{1b}[201~c".utf8)) == [.text("a\n\u{1b}[Ab"), .text("c")])
        #expect(
            keys([3, 4, 0x7F, 0x15, 0x17, 0x1A]) == [
                .interrupt, .end, .edit(.deleteBackward), .edit(.deleteToStart), .edit(.deleteWord), .suspend,
            ])
    }

    @Test func bytesThatAreNotUTF8SwallowNoKey() {
        let unknown = KeyReader.Key.text("\u{FFFD}")
        #expect(keys([0xFF, 0x61]) == [unknown, .text("a")])
        // Latin-1's é and Enter, Ctrl-D, an arrow, another é.
        #expect(keys([0xE9, 0x0D]) == [unknown, .enter])
        #expect(keys([0xE9, 0x04]) == [unknown, .end])
        #expect(keys([0xE9, 0x1B, 0x5B, 0x41]) == [unknown, .previous])
        #expect(keys([0xE9, 0xE9, 0x61]) == [unknown, unknown, .text("a")])
        #expect(keys([0xE9, 0, 0x61]) == [unknown, .text("a")])
        #expect(keys([0x80, 0xBF, 0x61]) == [unknown, unknown, .text("a")])
    }

    @Test func escapeSwallowsNoKey() {
        #expect(keys([0x1B, 0, 0x61]) == [.unknown, .text("a")])
        #expect(keys([0x1B, 0x1B, 0x5B, 0x41, 0x61]) == [.unknown, .previous, .text("a")])
        // Sent in one go it is Alt and a letter, which means nothing here.
        #expect(keys([0x1B, 0x61, 0x62]) == [.unknown, .text("b")])
    }

    @Test func editing() {
        var line = EditedLine(Array("one two"))
        line.apply(.deleteWord)
        #expect(String(line.characters) == "one ")
        line.insert("日x")
        line.apply(.left)
        line.apply(.deleteBackward)
        #expect(String(line.characters) == "one x")
        line.apply(.home)
        line.insert("e")
        line.insert("\u{301}")
        #expect(String(line.characters) == "e\u{301}one x")
        #expect(line.cursor == 1)
        line.apply(.deleteToEnd)
        #expect(line.characters.count == 1)
        line.apply(.deleteToStart)
        #expect(line.characters.isEmpty)
        for edit in [EditedLine.Edit.left, .right, .deleteBackward, .deleteForward, .deleteWord] { line.apply(edit) }
        #expect(line == EditedLine())
    }

    @Test func aLongLineShowsThePartAroundTheCursor() {
        var line = EditedLine(Array("0123456789"))
        #expect(line.visible(columns: 4) == ("6789", 4))
        line.apply(.home)
        #expect(line.visible(columns: 4) == ("0123", 0))
        #expect(EditedLine(Array("日本")).visible(columns: 3) == ("本", 2))
        #expect(EditedLine(Array("a\nb")).visible(columns: 9) == ("a↵b", 3))
    }
}
