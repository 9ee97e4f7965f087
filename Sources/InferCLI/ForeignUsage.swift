import ArgumentParser
import Foundation

/// What users of other engines type, and what there is of it here.
enum ForeignUsage {
    private static let noDownloads =
        "models are not downloaded; get a .gguf file with the browser or the hub's own client and name it with --model"

    /// - Throws: for an option that the parser would take for another one, and for models that are not files.
    static func check(_ arguments: [String]) throws {
        let options = Array(arguments.prefix { $0 != "--" })
        for (index, argument) in options.enumerated() {
            // The parser reads -hf as -h and -f, and shows its help.
            if argument.hasPrefix("-h"), argument.count > 2 {
                let isModel = ["-hf", "-hfr", "-hff", "-hfv"].contains(argument.prefix { $0 != "=" })
                throw ValidationError("Unknown option '\(argument)'" + (isModel ? ": \(noDownloads)" : ""))
            }
            if index > 0, ["-m", "--model"].contains(options[index - 1]), isOfTheNet(argument) {
                throw CommandError("cannot read \(argument): \(noDownloads)")
            }
        }
    }

    /// An address, or the name of a repository, where there is no such file.
    private static func isOfTheNet(_ name: String) -> Bool {
        guard !FileManager.default.fileExists(atPath: name) else { return false }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isRepository = parts.count == 2 && !parts.contains("") && !name.hasPrefix(".") && !name.contains(".gguf")
        return name.contains("://") || isRepository
    }

    /// What to say beside "Missing expected argument '--model <file>'"; nil: nothing.
    static func hint(withoutModel arguments: [String]) -> String? {
        guard let first = arguments.first(where: { $0 != "run" }) else { return nil }
        if let file = arguments.first(where: { $0.hasSuffix(".gguf") }) {
            return "a model file is named with --model: --model \(file)"
        }
        switch first {
        case "pull", "list", "ls", "rm", "ps", "create", "push", "cp":
            return "there is no subcommand '\(first)': \(noDownloads)"
        case "show": return "there is no subcommand 'show'; infer inspect FILE shows what is in a model file"
        case "chat": return "there is no subcommand 'chat'; infer --model FILE starts a chat"
        default: return nil
        }
    }
}
