import GGUF
import TestSupport
import Testing

@testable import Engine

/// Files that are not what they seem stop the load with an error that names the culprit.
@Suite struct ModelErrorTests {
    static let format = QuantFormat.find(.q4_0)
    static let llama = FamilyToy.every[0]
    static let hybrid = FamilyToy.every.first { $0.name == "qwen35moe" } ?? llama

    private func error(_ toy: FamilyToy, _ change: (inout ToyFile) -> Void) throws -> EngineError? {
        try error(toy.toyFile(format: try #require(Self.format)), change)
    }

    private func error(_ original: ToyFile, _ change: (inout ToyFile) -> Void) throws -> EngineError? {
        var file = original
        change(&file)
        let opened = try file.file()
        return #expect(throws: EngineError.self) { try Model.load(opened) }
    }

    // MARK: Tensors

    /// Tensors that a family can do without.
    private static let optional: Set<String> = ["output.weight", "rope_freqs.weight"]

    @Test(arguments: FamilyToy.all)
    func missingTensors(_ toy: FamilyToy) throws {
        let file = toy.toyFile(format: try #require(Self.format))
        for tensor in toy.tensors where !Self.optional.contains(tensor.name) {
            if toy.optionalTensors.contains(where: tensor.name.hasSuffix) { continue }
            let found = try error(file) { $0.remove(tensor.name) }
            switch found {
            case .missingTensor(let name, _)?:
                // A fused tensor that is missing is asked for in parts.
                #expect(name == tensor.name || toy.fused)
            case .unexpectedTensors(let names)?:
                #expect(toy.nextTokenLayers > 0 && !names.isEmpty)
            default:
                Issue.record("\(tensor.name): \(String(describing: found))")
            }
        }
    }

    @Test(arguments: FamilyToy.all)
    func misshapedTensors(_ toy: FamilyToy) throws {
        let file = toy.toyFile(format: try #require(Self.format))
        for tensor in toy.tensors {
            for axis in tensor.dimensions.indices {
                // The vocabulary is as large as the embedding table says.
                if tensor.name == "token_embd.weight", axis == 1 { continue }
                // The added shared expert is as wide as its last projection says.
                if toy.sharedIsAdded, tensor.name.hasSuffix("ffn_down_shexp.weight"), axis == 0 { continue }
                var shape = tensor.dimensions
                shape[axis] += 32
                let found = try error(file) { $0.random(tensor.name, shape) }
                guard case .tensorShape(tensor.name, let expected, shape)? = found else {
                    Issue.record("\(tensor.name): \(String(describing: found))")
                    continue
                }
                // Where a file has dimensions of 1, the binder names the others.
                let ones = tensor.dimensions.contains(1)
                let shapes =
                    ones
                    ? (expected.filter { $0 != 1 }, tensor.dimensions.filter { $0 != 1 })
                    : (expected, tensor.dimensions)
                #expect(shapes.0 == shapes.1 || tensor.name == "token_embd.weight")
            }
        }
        if !toy.tied {
            let found = try error(file) { $0.random("token_embd.weight", [toy.embedding, toy.vocabulary + 1]) }
            let shapes = ([toy.embedding, toy.vocabulary + 1], [toy.embedding, toy.vocabulary])
            #expect(found == .tensorShape(name: "output.weight", expected: shapes.0, found: shapes.1))
        }
    }

    @Test func unexpectedTensor() throws {
        let found = try error(Self.llama) { $0.random("blk.0.attn_q_norm.weight", [64]) }
        #expect(found == .unexpectedTensors(names: ["blk.0.attn_q_norm.weight"]))
    }

    @Test(arguments: ["blk.1.ffn_up.weight", "blk.0.attn_norm.weight", "token_embd.weight"])
    func unsupportedType(_ name: String) throws {
        let type = try #require(GGUFTensorType(name: "Q8_1"))
        let found = try error(Self.llama) { file in
            let shape = file.tensors.first { $0.name == name }?.dimensions ?? []
            let bytes = type.byteCount(of: shape.reduce(1, *)) ?? 0
            file.tensor(name, shape, type, [UInt8](repeating: 0, count: bytes))
        }
        #expect(found == .unsupportedTensorType(tensor: name, type: "Q8_1"))
        #expect(found?.description.contains(name) == true)
    }

    // MARK: Hyper-parameters

    @Test(arguments: [
        ("attention.head_count", GGUFValue.uint32(3)), ("attention.head_count_kv", .uint32(3)),
        ("rope.dimension_count", .uint32(66)), ("rope.dimension_count", .uint32(7)),
        ("rope.scaling.type", .string("dynamic")), ("rope.scaling.type", .uint32(1)),
        ("rope.scaling.factor", .float32(-2)), ("rope.freq_base", .float32(0.5)),
        ("attention.sliding_window", .int32(-1)), ("attention.clamp_kqv", .float32(8)),
        ("final_logit_softcapping", .float32(30)), ("attention.causal", .bool(false)),
        ("nextn_predict_layers", .uint32(1)), ("logit_scale", .float32(0.5)),
        ("hidden_activation", .string("gelu")), ("swiglu_clamp_exp", .array(GGUFArray([Float(7)]))),
    ])
    func hyperparameters(_ key: String, _ value: GGUFValue) throws {
        let found = try error(Self.llama) { $0["llama.\(key)"] = value }
        guard case .hyperparameter(let name, _, _)? = found else {
            Issue.record("\(String(describing: found))")
            return
        }
        #expect(name.hasPrefix("llama.attention") || name == "llama.\(key)")
    }

    @Test(arguments: [
        ("expert_used_count", GGUFValue.uint32(5)), ("expert_gating_func", .uint32(2)),
        ("expert_gating_func", .uint32(99)), ("expert_weights_norm", .bool(false)),
        ("expert_weights_scale", .float32(.nan)), ("expert_group_count", .uint32(2)),
        ("ssm.conv_kernel", .uint32(17)), ("ssm.group_count", .uint32(3)), ("ssm.inner_size", .uint32(512)),
        ("attention.value_length", .uint32(32)), ("nextn_predict_layers", .uint32(3)),
        ("attention.recurrent_layers", .array(GGUFArray([true]))), ("full_attention_interval", .uint32(0)),
    ])
    func hybridHyperparameters(_ key: String, _ value: GGUFValue) throws {
        let found = try error(Self.hybrid) { $0["qwen35moe.\(key)"] = value }
        guard case .hyperparameter(let name, _, _)? = found else {
            Issue.record("\(String(describing: found))")
            return
        }
        #expect(name.hasSuffix(key) || name == "qwen35moe.ssm.time_step_rank")
    }

    /// Settings of one family in a file of another, and values that no family knows: each kind once.
    @Test(arguments: [
        // Attention
        ("qwen2", "attn_logit_softcapping", GGUFValue.float32(50)), ("qwen2", "attention.sliding_window", .uint32(64)),
        ("seed_oss", "attention.scale", .float32(0.25)), ("qwen3 with yarn", "attention.max_alibi_bias", .float32(8)),
        ("gpt-oss", "attention.sliding_window_pattern", .array(GGUFArray([true, false]))),
        ("gemma4", "attention.shared_kv_layers", .uint32(2)), ("olmoe", "attention.clamp_kqv", .float32(8)),
        ("qwen2", "attention.indexer.top_k", .uint32(64)), ("llama", "attention.block_size", .uint32(64)),
        // Rotation
        ("qwen2", "rope.scaling.type", .string("longrope")), ("llama", "rope.freq_base_swa", .float32(1e4)),
        ("qwen3 with yarn", "rope.scaling.yarn_ext_factor", .float32(0)),
        ("qwen3 with yarn", "rope.scaling.yarn_log_multiplier", .float32(0.1)),
        ("llama", "rope.scaling.attn_factor", .float32(1.2)), ("llama", "rope.scaling.alpha", .float32(1000)),
        ("phi3", "rope.scaling.factor", .float32(4)),
        ("deepseek2 with groups and yarn", "rope.scaling.type", .string("linear")),
        // Experts
        ("olmoe", "expert_gating_func", .uint32(2)), ("glm4moe", "expert_gating_func", .uint32(5)),
        ("phimoe", "expert_gating_func", .uint32(1)), ("qwen2moe", "expert_weights_norm", .bool(true)),
        ("olmoe", "expert_group_count", .uint32(2)), ("qwen3moe", "interleave_moe_layer_step", .uint32(2)),
        ("qwen3moe", "leading_dense_block_count", .uint32(1)), ("qwen2moe", "moe_latent_size", .uint32(64)),
        ("gpt-oss", "swiglu_clamp_exp", .array(GGUFArray([Float(5), 5]))), ("qwen2", "expert_count", .uint32(4)),
        ("llama with experts", "router_logit_softcapping", .float32(30)), ("olmoe", "hash_layer_count", .uint32(1)),
        // Streams, ends, further layers
        ("qwen2", "residual_scale", .float32(0.5)), ("seed_oss", "embedding_scale", .float32(12)),
        ("qwen2", "final_logit_softcapping", .float32(30)), ("minimax-m2", "nextn_predict_layers", .uint32(1)),
        ("qwen2", "embedding_length_per_layer_input", .uint32(256)), ("olmoe", "hyper_connection.count", .uint32(4)),
        ("gemma4", "activation_sparsity_scale", .float32(0.5)), ("lfm2moe", "ssm.state_size", .uint32(16)),
        // What nobody here has heard of, of any type
        ("qwen2", "warp.factor", .uint32(9)), ("qwen2", "warp.enabled", .bool(false)),
        ("qwen2", "warp.kind", .string("slow")),
    ])
    func settingsThatWouldChangeTheResult(_ name: String, _ key: String, _ value: GGUFValue) throws {
        let toy = try FamilyToy.named(name)
        let file = toy.toyFile(format: try #require(Self.format))
        let found = try error(file) { $0["\(toy.architecture).\(key)"] = value }
        guard case .hyperparameter(let named, _, _)? = found else {
            Issue.record("\(String(describing: found))")
            return
        }
        let family = "\(toy.architecture)."
        #expect(named == family + key || named.hasPrefix(family + "rope.scaling."), "\(named)")
    }

    /// What converters write about models that have no such thing.
    @Test(arguments: [
        ("qwen2", "expert_used_count", GGUFValue.uint32(0)), ("qwen2", "expert_feed_forward_length", .uint32(64)),
        ("nemotron_h", "rope.freq_base", .float32(1e4)), ("nemotron_h", "rope.scaling.type", .string("yarn")),
        ("llama", "vocab_size", .uint32(320)), ("llama", "rope.scaling.original_context_length", .uint32(512)),
        ("llama", "tensor_data_layout", .string("Meta AI original pth")), ("llama", "pooling_type", .uint32(3)),
        ("llama", "rope.scaling.finetuned", .bool(true)), ("qwen2moe", "expert_shared_count", .uint32(1)),
    ])
    func settingsThatDescribe(_ name: String, _ key: String, _ value: GGUFValue) throws {
        let toy = try FamilyToy.named(name)
        var file = toy.toyFile(format: try #require(Self.format))
        file["\(toy.architecture).\(key)"] = value
        _ = try Model.load(try file.file())
    }

    /// Settings that leave the arithmetic as it is are no reason to refuse a file.
    @Test func neutralSettings() throws {
        var file = Self.hybrid.toyFile(format: try #require(Self.format))
        file["qwen35moe.expert_gating_func"] = .uint32(1)
        file["qwen35moe.expert_weights_norm"] = .bool(true)
        file["qwen35moe.expert_weights_scale"] = .float32(0)
        file["qwen35moe.expert_group_count"] = .uint32(1)
        file["qwen35moe.attention.sliding_window"] = .uint32(0)
        file["qwen35moe.rope.dimension_sections"] = .array(GGUFArray([Int32(3), 3, 2, 0]))
        file["qwen35moe.rope.scaling.type"] = .string("none")
        _ = try Model.load(try file.file())
    }

    @Test func unknownArchitecture() throws {
        let found = try error(Self.llama) { $0["general.architecture"] = .string("gpt-17") }
        #expect(found == .unsupportedArchitecture(name: "gpt-17", known: Registry.names))
        #expect(found?.description.contains("gpt-17") == true && found?.description.contains("qwen35moe") == true)
    }

    @Test func vocabularySize() throws {
        let tokens = (0..<319).map { "t\($0)" }
        let found = try error(Self.llama) { $0["tokenizer.ggml.tokens"] = .array(GGUFArray(tokens)) }
        #expect(found == .vocabularySize(tensorRows: 320, tokens: 319))
    }

    @Test func vocabularyOnly() throws {
        let found = try error(Self.llama) { file in
            for tensor in file.tensors { file.remove(tensor.name) }
        }
        #expect(found == .vocabularyOnly(architecture: "llama"))
    }

    @Test func noSuchFile() {
        let error = #expect(throws: EngineError.self) { try Model.load(path: "/nonexistent/model.gguf") }
        guard case .file? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    // MARK: Use

    @Test func options() throws {
        let file = try Self.llama.file(format: try #require(Self.format))
        for options in [EngineOptions(threads: 0), EngineOptions(threads: 1, batchSize: 0)] {
            #expect(throws: EngineError.self) { try Model.load(file, options: options) }
        }
        let model = try Model.load(file, options: EngineOptions(threads: 1))
        #expect(throws: EngineError.contextBeyondTraining(wanted: 1025, trained: 1024)) {
            try model.makeGenerator(contextLength: 1025)
        }
        #expect(throws: EngineError.self) { try model.makeGenerator(contextLength: 0) }
        #expect(try model.makeGenerator().capacity == 1024)

        var beyond = EngineOptions(threads: 1, contextLength: 2000)
        beyond.allowsUntrainedContext = true
        #expect(try Model.load(file, options: beyond).makeGenerator().capacity == 2000)
        beyond.contextLength = 1 << 60
        let endless = try Model.load(file, options: beyond)
        #expect(throws: EngineError.self) { try endless.makeGenerator() }
    }

    @Test func defaultContext() throws {
        var file = Self.llama.toyFile(format: try #require(Self.format))
        file["llama.context_length"] = .uint32(1 << 20)
        let model = try Model.load(try file.file(), options: EngineOptions(threads: 1))
        #expect(try model.makeGenerator().capacity == EngineOptions.defaultContextLength)
        #expect(try model.makeGenerator(contextLength: 1 << 20).capacity == 1 << 20)
    }

    @Test func contextFull() throws {
        let model = try Model.load(
            try Self.hybrid.file(format: try #require(Self.format)),
            options: EngineOptions(threads: 1, contextLength: 8))
        let generator = try model.makeGenerator()
        #expect(throws: EngineError.contextFull(limit: 8, wanted: 9)) { try generator.sync(Self.hybrid.tokens(9)) }
        try generator.sync(Self.hybrid.tokens(7))
        try generator.decode(1)
        let error = #expect(throws: EngineError.contextFull(limit: 8, wanted: 9)) { try generator.decode(1) }
        #expect(error?.description == "the context is full: 9 tokens are needed, 8 fit")
        #expect(generator.count == 8)
    }

    @Test func tokensOutOfRange() throws {
        let model = try Model.load(
            try Self.llama.file(format: try #require(Self.format)), options: EngineOptions(threads: 1))
        let generator = try model.makeGenerator()
        for token: Int32 in [-1, 320, .max, .min] {
            let expected = EngineError.tokenOutOfRange(token: token, vocabularySize: 320)
            #expect(throws: expected) { try generator.sync([1, token]) }
            #expect(throws: expected) { try generator.decode(token) }
            #expect(throws: expected) { try generator.evaluate([token]) { _, _ in } }
        }
        #expect(throws: EngineError.self) { try generator.sync([]) }
        #expect(generator.tokens.isEmpty)
    }

    /// int8 keys need head dimensions that are multiples of 32.
    @Test func cacheType() throws {
        var options = EngineOptions(threads: 1)
        options.keyCache = .q8_0
        let file = try ToyModel.llama.file()
        #expect(throws: EngineError.state(.headDimension(layer: 0, dim: 16, type: .q8_0))) {
            try Model.load(file, options: options)
        }
    }
}
