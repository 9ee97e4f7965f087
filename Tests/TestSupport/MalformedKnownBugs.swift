package import GGUF

// One file (or several) for each published bug class of other engines that a model file can trigger, named after its
// report. Classes that a request or a program argument triggers (CVE-2026-21869, the grammar parser, the updater) are
// not files and have their tests where they belong.

extension MalformedCorpus {
    private static func sample(
        _ name: String, _ expected: Set<String>, _ change: (inout RawFile) -> Void
    ) -> MalformedCase {
        var file = RawFile.sample
        change(&file)
        return MalformedCase(name, expected, bytes: file.bytes)
    }

    private static func model(
        _ name: String, _ stage: MalformedCase.Stage, _ toy: ToyFile = ToyModel.llama,
        _ change: @escaping @Sendable (inout ToyFile) -> Void
    ) -> MalformedCase {
        MalformedCase(name, stage) {
            var file = toy
            change(&file)
            return [MalformedCase.File(name: "model.gguf", bytes: try file.bytes())]
        }
    }

    static let knownBugs: [MalformedCase] = [
        // The padded sizes of all tensors, added up, wrap to a small buffer.
        sample("CVE-2025-53630: sum of tensor sizes wraps", ["tensorOutOfFile"]) {
            $0.tensors[0] = .init("a", [1 << 60], type: 0)
            $0.tensors[1] = .init("b", [1 << 60], type: 0, offset: 1 << 62)
            $0.tensors[2] = .init("c", [1 << 60], type: 0, offset: 1 << 63)
        },
        // Number of tensors times the size of one's record wraps.
        sample("CVE-2026-27940: record count wraps", ["tooMany"]) { $0.tensorCount = .max / 368 + 2 },
        sample("CVE-2026-27940: record count wraps after addition", ["tooMany"]) { $0.tensorCount = .max },
        // Elements times bytes per element wrap to zero.
        sample("CVE-2026-33298: elements times type size wraps", ["sizeOverflow"]) {
            $0.tensors[0].dimensions = [4, 1 << 60, 1, 1]
        },
        sample("CVE-2026-33298: strides wrap to zero", ["sizeOverflow"]) {
            $0.tensors[0].dimensions = [1152, (1 << 42) + 1, 1 << 20]
        },
        // Padding a size just below 2⁶⁴ wraps to zero.
        sample("llama.cpp 26978: size wraps after padding", ["sizeOverflow"]) {
            $0.tensors[0].dimensions = [4, 1_073_741_823, 1_073_741_825, 1]
        },
        // Tensor data claimed beyond the file leaks the heap into a quantized copy.
        sample("CVE-2026-7482 (Bleeding Llama): tensor longer than the file", ["tensorOutOfFile"]) {
            $0.tensors[2].dimensions = [1 << 20]
        },
        sample("CVE-2026-7482 (Bleeding Llama): offset beyond the file", ["tensorOutOfFile"]) {
            $0.tensors[2].offset = 1 << 24
        },
        // A token's length becomes negative in 32 bits.
        sample("CVE-2025-49847: token of 2 GiB", ["truncated"]) { $0.setTokenLength(1 << 31) },
        sample("CVE-2025-49847: token length wraps", ["truncated"]) { $0.setTokenLength(.max) },
        // An array of one-byte numbers is read as four-byte numbers. Here any width of integer is read as what it is.
        model("llama.cpp 26690: token_type is an array of uint8", .tolerated) {
            $0.replaceArray("tokenizer.ggml.token_type") { GGUFArray([UInt8](repeating: 1, count: $0)) }
        },
        model("llama.cpp 26690: scores are an array of uint8", .tolerated, sentencePieceModel) {
            $0.replaceArray("tokenizer.ggml.scores") { GGUFArray([UInt8](repeating: 1, count: $0)) }
        },
        model("llama.cpp 20735: fewer scores than tokens", .tokenizer, sentencePieceModel) {
            $0["tokenizer.ggml.scores"] = .array(GGUFArray([Float(1), 2]))
        },
        model("llama.cpp 26690: tokens are numbers", .tokenizer) {
            $0.replaceArray("tokenizer.ggml.tokens") { GGUFArray([UInt32](repeating: 7, count: $0)) }
        },
        // More layers than fixed tables have.
        model("llama.cpp 25821: 513 layers", .model) { $0["llama.block_count"] = .uint32(513) },
        model("llama.cpp 25821: 100000 layers", .model) { $0["llama.block_count"] = .uint32(100_000) },
        model("llama.cpp 25821: 100000 layers of a hybrid", .model, ToyModel.qwen35moe) {
            $0["qwen35moe.block_count"] = .uint32(100_000)
        },
        // "<0x-1>" as the byte −1, an index before the table. Here it is a token like any other.
        model("llama.cpp 25969: byte token -1", .tolerated, sentencePieceModel) { $0.renameByteToken("<0x-1>") },
        model("llama.cpp 25969: byte token ZZ", .tolerated, sentencePieceModel) { $0.renameByteToken("<0xZZ>") },
        model("llama.cpp 25969: byte token +F", .tolerated, sentencePieceModel) { $0.renameByteToken("<0x+F>") },
        // Alignment of another type, or so large that rounding up wraps.
        sample("llama.cpp 26318: alignment is a string", ["wrongType"]) {
            $0.entries.append(.init("general.alignment", .string("32")))
        },
        sample("llama.cpp 26318: alignment 2^31", ["alignment"]) {
            $0.entries.append(.init("general.alignment", .uint32(1 << 31)))
        },
        sample("llama.cpp 26318: alignment 2^63", ["outOfRange"]) {
            $0.entries.append(.init("general.alignment", .uint64(1 << 63)))
        },
        // Memory reserved for what a length field promises.
        MalformedCase(
            "ollama 17042: string of 2^63 bytes", ["truncated"], bytes: tiny(type: 8, [0, 0, 0, 0, 0, 0, 0, 128])),
        MalformedCase(
            "ollama 17042: string of 1 TiB", ["truncated"], bytes: tiny(type: 8, [0, 0, 0, 0, 0, 1, 0, 0])),
        MalformedCase(
            "ollama 17042: array of 2^64-1 bytes", ["tooMany"],
            bytes: tiny(type: 9, [0, 0, 0, 0] + [UInt8](repeating: 255, count: 8))),
        MalformedCase(
            "ollama 17042: array of 500 million numbers", ["tooMany"],
            bytes: tiny(type: 9, [4, 0, 0, 0, 0, 0x65, 0xcd, 0x1d, 0, 0, 0, 0])),
        sample("ollama 17042: 2^32 dimensions", ["dimensionCount"]) { $0.tensors[0].dimensionCount = .max },
        // A loop over as many elements as a tiny file claims to have.
        MalformedCase("llama.cpp 27188: array of 2^63 in the smallest file", ["tooMany"], bytes: smallestArray),
        MalformedCase("llama.cpp 27188: the same cut to 43 bytes", ["truncated"], bytes: Array(smallestArray[..<43])),
        MalformedCase(
            "llama.cpp 27188: nested array of 2^62", ["tooMany"],
            bytes: tiny(type: 9, [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64])),
        sample("llama.cpp 27188: 2^63 entries", ["tooMany"]) { $0.entryCount = 1 << 63 },
        sample("llama.cpp 27188: 2^63 tensors", ["tooMany"]) { $0.tensorCount = 1 << 63 },
        sample("llama.cpp 24884: empty key", ["keyLength"]) { $0.entries[0].key = [] },
    ]

    /// The smallest file with an array: 49 bytes, of which the array's elements are none.
    private static let smallestArray: [UInt8] = {
        let count: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 128]
        return RawFile(entries: [.init("k", type: 9, payload: [0, 0, 0, 0] + count)]).bytes
    }()

    /// One entry of the given type with the given payload.
    private static func tiny(type: UInt32, _ payload: [UInt8]) -> [UInt8] {
        RawFile(entries: [.init("tokenizer.ggml.tokens", type: type, payload: payload)]).bytes
    }

    package static let sentencePieceModel: ToyFile = {
        var file = ToyModel.llama
        for (key, _) in ToyVocabulary.byteLevel { file[key] = nil }
        file.metadata += ToyVocabulary.sentencePiece
        let count = file["tokenizer.ggml.tokens"]?.array?.count ?? 0
        file.random("token_embd.weight", [32, count])
        file.random("output.weight", [32, count])
        return file
    }()
}

extension RawFile {
    /// Overwrites the length of the first string of `b.strings`.
    fileprivate mutating func setTokenLength(_ length: UInt64) {
        guard let entry = entries.firstIndex(where: { $0.key == Array("b.strings".utf8) }),
            let field = entries[entry].payload.firstIndex(where: { $0.kind == .stringLength })
        else { return }
        entries[entry].payload[field] = .integer(.stringLength, length)
    }
}

extension ToyFile {
    /// Replaces an array by another one of as many elements.
    package mutating func replaceArray(_ key: String, _ make: (Int) -> GGUFArray) {
        let count = self[key]?.array?.count ?? 0
        self[key] = .array(make(count))
    }

    /// Gives one of the byte tokens another text.
    fileprivate mutating func renameByteToken(_ text: String) {
        guard var tokens = self["tokenizer.ggml.tokens"]?.array?.strings() else { return }
        tokens[10] = text
        self["tokenizer.ggml.tokens"] = .array(GGUFArray(tokens))
    }
}
