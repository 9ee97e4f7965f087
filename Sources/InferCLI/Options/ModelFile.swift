import GGUF

/// Model files that a user names.
enum ModelFile {
    static func open(_ path: String) throws -> GGUFFile { try naming(path) { try GGUFFile(path: path) } }

    /// Faults of a file tell its name: a command may read several.
    static func naming<Result>(_ path: String, _ work: () throws -> Result) throws -> Result {
        do {
            return try work()
        } catch {
            let text = "\(error)"
            throw text.contains(path) ? error : CommandError("\(path.printable()): \(text)")
        }
    }
}
