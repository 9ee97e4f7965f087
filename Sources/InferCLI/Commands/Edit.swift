import ArgumentParser
import ChatTemplates
import GGUF
import ModelTools

/// `infer edit`: a copy of a model file with other metadata.
struct Edit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a copy of a model file with other metadata or names.",
        discussion: """
            The weights are copied bit for bit; the source is never changed, and the target appears when it is \
            complete. A split file becomes one file.

            A value has the type that the key has now. A new key needs one in front, TYPE:VALUE, with a type of the \
            format (bool, string, uint32, int32, float32 …), with [] for a list. To give text that begins like a type, \
            write string: in front.

              infer edit model.gguf new.gguf --name "Fable 2" --chat-template template.jinja
              infer edit model.gguf new.gguf --set tokenizer.ggml.add_bos_token=false
              infer edit model.gguf new.gguf --set 'general.tags=string[]:["small","moe"]' --remove general.url
            """)

    @Argument(
        help: ArgumentHelp("The GGUF file to read.", valueName: "source"), completion: .file(extensions: ["gguf"]))
    var source: String

    @Argument(help: ArgumentHelp("The GGUF file to write.", valueName: "target"))
    var target: String

    @Option(
        name: .long, help: ArgumentHelp("Set a metadata key; may be repeated.", valueName: "key=[type:]value"))
    var set: [String] = []

    @Option(help: ArgumentHelp("Remove a metadata key; may be repeated.", valueName: "key"))
    var remove: [String] = []

    @Option(help: ArgumentHelp("Give a metadata key another name; may be repeated.", valueName: "old=new"))
    var renameKey: [String] = []

    @Option(help: ArgumentHelp("Give a tensor another name; may be repeated.", valueName: "old=new"))
    var renameTensor: [String] = []

    @Option(help: ArgumentHelp("What the model is called (general.name).", valueName: "text"))
    var name: String?

    @Option(
        help: ArgumentHelp("The chat template, a Jinja text that is checked first.", valueName: "file"),
        completion: .file())
    var chatTemplate: String?

    @Flag(help: "Show what would change without writing.")
    var dryRun = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        for pair in set + renameKey + renameTensor { _ = try Self.pair(pair) }
        if set.isEmpty, remove.isEmpty, renameKey.isEmpty, renameTensor.isEmpty, name == nil, chatTemplate == nil {
            throw ValidationError("nothing to change; see infer edit --help")
        }
    }

    func run() throws {
        let file = try ModelFile.open(source)
        let edit = try edit(file)
        let copy = ModelCopy(edit, of: file)
        if !dryRun {
            try WorkProgress().run(ifStopped: "nothing is written") { progress in
                try copy.write(to: target, progress: progress.part("writing"))
            }
        }
        let report = EditReport(edit, bytes: copy.tensorBytes, source: source, target: dryRun ? nil : target)
        try StandardOutput.line(json ? try JSONOutput.text(report) : report.text)
    }

    private func edit(_ file: GGUFFile) throws -> ModelEdit {
        var edit = ModelEdit(file)
        for key in remove { try edit.remove(key) }
        for rename in renameKey {
            let (old, new) = try Self.pair(rename)
            try edit.rename(key: old, to: new)
        }
        for assignment in set {
            let (key, text) = try Self.pair(assignment)
            try edit.set(key, ValueText.value(text, key: key, current: edit[key]))
        }
        if let name { try edit.set("general.name", .string(name)) }
        if let chatTemplate {
            let text = try TextFile.contents(of: chatTemplate)
            do {
                _ = try ChatTemplate(source: text)
            } catch {
                throw CommandError("\(chatTemplate) is no chat template: \(error)")
            }
            try edit.set("tokenizer.chat_template", .string(text))
        }
        for rename in renameTensor {
            let (old, new) = try Self.pair(rename)
            try edit.rename(tensor: old, to: new)
        }
        return edit
    }

    private static func pair(_ text: String) throws -> (String, String) {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw ValidationError("\(text): expected NAME=VALUE")
        }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
}

/// What was, or would be, changed.
private struct EditReport: Encodable {
    struct Change: Encodable {
        let kind: String
        let name: String
        let newName: String?
        let type: String?
        let before: MetadataValue?
        let after: MetadataValue?
    }

    let source: String
    let target: String?
    let tensorBytes: Int
    let changes: [Change]

    init(_ edit: ModelEdit, bytes: Int, source: String, target: String?) {
        self.source = source
        self.target = target
        tensorBytes = bytes
        changes = edit.changes.map { change in
            Change(
                kind: change.kind.rawValue, name: change.name, newName: change.newName,
                type: (change.after ?? change.before)?.typeDescription,
                before: change.before.map { MetadataValue($0, elements: 8) },
                after: change.after.map { MetadataValue($0, elements: 8) })
        }
    }

    var text: String {
        var lines = TextTable.lines(
            changes.map { change in
                let before = change.before?.text(limit: 60) ?? "(none)"
                let after = change.after?.text(limit: 60) ?? "(none)"
                let what = change.newName.map { "→ \($0.printable())" } ?? "\(before) → \(after)"
                return [change.kind, change.name.printable(limit: 60), what]
            })
        if let target { lines.append("\(target.printable()) written, \(TextTable.byteText(tensorBytes)) of weights") }
        return lines.joined(separator: "\n")
    }
}
