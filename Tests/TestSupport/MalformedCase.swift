/// One malformed model file, and where loading it must stop with a typed error.
package struct MalformedCase: Sendable {
    /// The first step that must refuse the file. Earlier steps must accept it.
    package enum Stage: Sendable, Hashable {
        /// `GGUFFile(path:)`.
        case parse
        /// `Tokenizer(metadata)`.
        case tokenizer
        /// Loading the model.
        case model
        /// None: what is strange about the file has a defined meaning, and it must be used without a trap.
        case tolerated
    }

    package struct File: Sendable {
        package let name: String
        package let bytes: [UInt8]
    }

    package let name: String
    package let stage: Stage
    /// The possible names of the error's case (`"duplicateKey"`); empty where any typed error will do.
    package let expected: Set<String>
    /// The file to open, followed by the other parts of a split file. Made when needed: the corpus as a whole is large.
    package let files: @Sendable () throws -> [File]

    package init(_ name: String, _ expected: Set<String> = [], bytes: [UInt8]) {
        self.init(name, .parse, expected) { [File(name: "model.gguf", bytes: bytes)] }
    }

    package init(
        _ name: String, _ stage: Stage, _ expected: Set<String> = [],
        files: @escaping @Sendable () throws -> [File]
    ) {
        self.name = name
        self.stage = stage
        self.expected = expected
        self.files = files
    }

    /// Writes the files and gives the path of the one to open.
    package func write(to directory: TemporaryDirectory) throws -> String {
        let files = try self.files()
        for file in files { try directory.write(file.bytes, to: file.name) }
        return directory.path(files.first?.name ?? "")
    }

    /// The name of an error's case: `"duplicateKey"` for `GGUFError.duplicateKey("a")`.
    package static func caseName(of error: any Error) -> String {
        Mirror(reflecting: error).children.first?.label ?? String(describing: error)
    }
}

/// Every malformed file the tests know, made by rule: the same on every run.
package enum MalformedCorpus {
    /// All cases; `groups` gives the same ones by the file that makes them.
    package static var cases: [MalformedCase] { groups.flatMap { $0.cases } }

    package static var groups: [(name: String, cases: [MalformedCase])] {
        [
            ("truncations", truncations), ("overwritten fields", overwrittenFields), ("header", header),
            ("metadata", metadata), ("tensors", tensors), ("splits", splits), ("known bugs", knownBugs),
            ("vocabularies", vocabularies), ("hyperparameters", hyperparameters), ("weights", weights),
        ]
    }
}
