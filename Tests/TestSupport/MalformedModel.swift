import GGUF

// Files that are well-formed GGUF and still no model: vocabularies, hyperparameters and tensors that contradict each
// other or make no sense.

extension MalformedCorpus {
    private static func toy(
        _ name: String, _ stage: MalformedCase.Stage, _ toy: ToyFile,
        _ change: @escaping @Sendable (inout ToyFile) -> Void
    ) -> MalformedCase {
        MalformedCase(name, stage) {
            var file = toy
            change(&file)
            return [MalformedCase.File(name: "model.gguf", bytes: try file.bytes())]
        }
    }

    // MARK: Vocabularies

    static let vocabularies: [MalformedCase] =
        wrongTypes(
            of: [
                "model": "a string", "tokens": "strings", "token_type": "integers", "merges": "strings",
                "bos_token_id": "an integer", "eos_token_id": "an integer", "add_bos_token": "bool",
            ], in: ToyModel.llama, named: "byte-level")
        + wrongTypes(of: ["scores": "floats", "tokens": "strings"], in: sentencePieceModel, named: "SentencePiece")
        + tokenIDs + [
            vocabulary("no model") { $0["tokenizer.ggml.model"] = nil },
            vocabulary("unknown model") { $0["tokenizer.ggml.model"] = .string("gpt-17") },
            vocabulary("model that steers the terminal") { $0["tokenizer.ggml.model"] = .string("\u{1b}[2J") },
            vocabulary("pre-tokenizer that steers the terminal") { $0["tokenizer.ggml.pre"] = .string("\u{1b}[2J") },
            vocabulary("empty model") { $0["tokenizer.ggml.model"] = .string("") },
            vocabulary("no tokens") { $0["tokenizer.ggml.tokens"] = nil },
            vocabulary("zero tokens") { $0["tokenizer.ggml.tokens"] = .array(GGUFArray([String]())) },
            vocabulary("fewer types than tokens") { $0["tokenizer.ggml.token_type"] = .array(GGUFArray([Int32(1)])) },
            vocabulary("more types than tokens", .tolerated) {
                $0.replaceArray("tokenizer.ggml.token_type") { GGUFArray([Int32](repeating: 1, count: $0 + 1)) }
            },
            vocabulary("merge without a space", .tolerated) {
                $0["tokenizer.ggml.merges"] = .array(GGUFArray(["he", "h e"]))
            },
            toy("SentencePiece: more scores than tokens", .tolerated, sentencePieceModel) {
                $0.replaceArray("tokenizer.ggml.scores") { GGUFArray([Float](repeating: 0, count: $0 + 1)) }
            },
            toy("SentencePiece: scores are not numbers", .tolerated, sentencePieceModel) {
                $0.replaceArray("tokenizer.ggml.scores") { GGUFArray([Float](repeating: .nan, count: $0)) }
            },
            toy("more tokens than the embedding has rows", .model, ToyModel.llama) {
                $0.resizeVocabulary(by: 3)
            },
            toy("fewer tokens than the embedding has rows", .model, ToyModel.llama) {
                $0.resizeVocabulary(by: -3)
            },
            toy("vocab_size contradicts the embedding", .model, ToyModel.llama) {
                $0["llama.vocab_size"] = .uint32(7)
            },
        ]

    private static func vocabulary(
        _ name: String, _ stage: MalformedCase.Stage = .tokenizer,
        _ change: @escaping @Sendable (inout ToyFile) -> Void
    ) -> MalformedCase {
        toy("byte-level: " + name, stage, ToyModel.llama, change)
    }

    /// Each key with a value of every kind but the one that belongs there.
    private static func wrongTypes(of keys: [String: String], in file: ToyFile, named name: String) -> [MalformedCase] {
        let values: [(kind: String, value: GGUFValue)] = [
            ("a string", .string("1")), ("an integer", .uint32(1)), ("a float", .float32(1)), ("bool", .bool(true)),
            ("strings", .array(GGUFArray(["1"]))), ("integers", .array(GGUFArray([Int32(1)]))),
            ("floats", .array(GGUFArray([Float(1)]))), ("bools", .array(GGUFArray([true]))),
            ("arrays", .array(GGUFArray([GGUFArray(["1"])]))),
        ]
        return keys.sorted { $0.key < $1.key }.flatMap { key, right in
            values.filter { $0.kind != right }.map { wrong in
                toy("\(name): \(key) is of kind \(wrong.kind)", .tokenizer, file) {
                    $0["tokenizer.ggml.\(key)"] = wrong.value
                }
            }
        }
    }

    private static let tokenIDs: [MalformedCase] = {
        let ids: [GGUFValue] = [
            .uint32(100_000), .uint32(1 << 31), .uint32(.max - 1), .int32(-2), .int32(.min), .uint64(1 << 32),
            .uint64(.max - 1), .int64(.min),
        ]
        return ["bos", "eos", "eot", "unknown", "padding", "seperator"].flatMap { role in
            ids.map { id in
                // An id that the vocabulary does not have means "none", as -1 and 2³²-1 do in published files.
                vocabulary("\(role) token is \(id)", id.int == nil ? .tokenizer : .tolerated) {
                    $0["tokenizer.ggml.\(role)_token_id"] = id
                }
            }
        }
    }()

    // MARK: Hyperparameters

    static let hyperparameters: [MalformedCase] =
        integers(
            of: [
                "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
                "attention.head_count_kv", "attention.key_length", "attention.value_length", "rope.dimension_count",
            ], in: ToyModel.llama, architecture: "llama")
        + integers(
            of: [
                "block_count", "embedding_length", "expert_count", "expert_used_count", "expert_feed_forward_length",
                "expert_shared_feed_forward_length", "attention.head_count", "attention.head_count_kv",
                "attention.key_length", "attention.value_length", "ssm.conv_kernel", "ssm.state_size",
                "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size",
            ], in: ToyModel.qwen35moe, architecture: "qwen35moe")
        + floats + [
            llama("no architecture") { $0["general.architecture"] = nil },
            llama("unknown architecture") { $0["general.architecture"] = .string("gpt-17") },
            llama("architecture that steers the terminal") {
                $0["general.architecture"] = .string("\u{1b}[2J\u{7}" + String(repeating: "x", count: 100_000))
            },
            llama("number of layers that steers the terminal") { $0["llama.block_count"] = .string("\u{1b}[2J\n") },
            llama("tensor that steers the terminal") { $0.random("\u{1b}[2J\n", [1]) },
            llama("architecture is a number") { $0["general.architecture"] = .uint32(1) },
            llama("keys of another architecture") { $0["general.architecture"] = .string("qwen3") },
            llama("heads do not divide into key/value heads") {
                $0["llama.attention.head_count"] = .uint32(4)
                $0["llama.attention.head_count_kv"] = .uint32(3)
            },
            llama("more key/value heads than heads") { $0["llama.attention.head_count_kv"] = .uint32(4) },
            llama("odd rotary size") { $0["llama.rope.dimension_count"] = .uint32(15) },
            llama("rotary size above head size") { $0["llama.rope.dimension_count"] = .uint32(32) },
            llama("head counts of no layer") { $0["llama.attention.head_count_kv"] = .array(GGUFArray([UInt32]())) },
            llama("feed-forward lengths of no layer") {
                $0["llama.feed_forward_length"] = .array(GGUFArray([UInt32]()))
            },
            llama("head counts are strings") {
                $0["llama.attention.head_count_kv"] = .array(GGUFArray(["1"]))
            },
            hybrid("more experts used than there are") { $0["qwen35moe.expert_used_count"] = .uint32(5) },
            hybrid("kinds of fewer layers than there are") {
                $0["qwen35moe.attention.recurrent_layers"] = .array(GGUFArray([true]))
            },
            hybrid("kinds of layers swapped") {
                $0["qwen35moe.attention.recurrent_layers"] = .array(GGUFArray([false, true]))
            },
            hybrid("kinds of layers are strings") {
                $0["qwen35moe.attention.recurrent_layers"] = .array(GGUFArray(["true", "false"]))
            },
        ]

    private static func llama(
        _ name: String, _ change: @escaping @Sendable (inout ToyFile) -> Void
    ) -> MalformedCase {
        toy("llama: " + name, .model, ToyModel.llama, change)
    }

    private static func hybrid(
        _ name: String, _ change: @escaping @Sendable (inout ToyFile) -> Void
    ) -> MalformedCase {
        toy("qwen35moe: " + name, .model, ToyModel.qwen35moe, change)
    }

    /// Zero, negative read as unsigned, absurd, another type. What is merely unusual is left out.
    private static func integers(of keys: [String], in file: ToyFile, architecture: String) -> [MalformedCase] {
        let values: [GGUFValue] = [
            .uint32(0), .uint32(.max), .uint32(1 << 31), .int32(-1), .int32(.min), .uint64(1 << 32), .uint64(1 << 62),
            .uint64(.max), .int64(-1), .string("2"), .float32(2), .array(GGUFArray(["2"])),
        ]
        return keys.flatMap { key in
            values.filter { !isPlausible($0, for: key) }.map { value in
                toy("\(architecture): \(key) = \(value.typeDescription) \(value.shortDescription)", .model, file) {
                    $0["\(architecture).\(key)"] = value
                }
            }
        }
    }

    /// A context length is a limit, not a size of anything in the file: a large one is no fault.
    private static func isPlausible(_ value: GGUFValue, for key: String) -> Bool {
        key == "context_length" && (value.int ?? -1) > 0
    }

    private static let floats: [MalformedCase] = {
        let values: [GGUFValue] = [
            .float32(.nan), .float32(.infinity), .float32(-1), .float64(-.infinity), .string("1"), .bool(true),
        ]
        return ["attention.layer_norm_rms_epsilon", "rope.freq_base"].flatMap { key in
            values.map { value in
                llama("\(key) = \(value.typeDescription) \(value.shortDescription)") { $0["llama.\(key)"] = value }
            }
        }
            + [llama("rope.freq_base = 0") { $0["llama.rope.freq_base"] = .float32(0) }]
    }()

    // MARK: Weights

    static let weights: [MalformedCase] =
        everyTensor(of: ToyModel.llama, named: "llama", optional: ["output.weight"])
        + everyTensor(of: ToyModel.qwen35moe, named: "qwen35moe", optional: ["output.weight"])
        + ["Q8_K", "IQ1_S", "TQ2_0", "I32", "F64", "Q8_1"].compactMap { GGUFTensorType(name: $0) }.map { type in
            llama("embedding of type \(type), which cannot be computed") {
                let rows = $0["tokenizer.ggml.tokens"]?.array?.count ?? 0
                let width = 256
                $0["llama.embedding_length"] = .uint32(UInt32(width))
                let bytes = type.byteCount(of: rows * width) ?? 0
                $0.tensor("token_embd.weight", [width, rows], type, [UInt8](repeating: 0, count: bytes))
            }
        }

    /// Every tensor missing, one column and one row too large, with an extra dimension, and as integers.
    private static func everyTensor(of file: ToyFile, named name: String, optional: Set<String>) -> [MalformedCase] {
        file.tensors.flatMap { tensor in
            var shapes: [[Int]] = []
            for axis in tensor.dimensions.indices {
                var shape = tensor.dimensions
                shape[axis] += 1
                shapes.append(shape)
            }
            shapes.append(tensor.dimensions.reversed() + [2])
            var cases = shapes.map { shape in
                toy("\(name): \(tensor.name) of \(shape)", .model, file) { $0.random(tensor.name, shape) }
            }
            cases.append(
                toy("\(name): \(tensor.name) as int32", .model, file) {
                    $0.tensor(tensor.name, tensor.dimensions, .i32, tensor.data)
                })
            if !optional.contains(tensor.name) {
                cases.append(toy("\(name): no \(tensor.name)", .model, file) { $0.remove(tensor.name) })
            }
            return cases
        }
    }
}

extension ToyFile {
    /// Adds tokens to the vocabulary, or drops the last ones, and leaves the tensors as they are.
    fileprivate mutating func resizeVocabulary(by change: Int) {
        guard var tokens = self["tokenizer.ggml.tokens"]?.array?.strings(),
            var types = self["tokenizer.ggml.token_type"]?.array?.int32s()
        else { return }
        if change < 0 {
            tokens.removeFirst(-change)
            types.removeFirst(-change)
        } else {
            tokens.insert(contentsOf: (0..<change).map { "extra\($0)" }, at: 0)
            types.insert(contentsOf: [Int32](repeating: 1, count: change), at: 0)
        }
        self["tokenizer.ggml.tokens"] = .array(GGUFArray(tokens))
        self["tokenizer.ggml.token_type"] = .array(GGUFArray(types))
        for role in ["bos", "eos", "padding"] { self["tokenizer.ggml.\(role)_token_id"] = .uint32(1) }
    }
}

extension GGUFValue {
    fileprivate var shortDescription: String {
        if let int { return String(int) }
        if case .uint64(let value) = self { return String(value) }
        if let double { return "\(double)" }
        return stringValue ?? ""
    }
}
