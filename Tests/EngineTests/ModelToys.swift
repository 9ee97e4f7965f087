import Foundation
import GGUF
import TestSupport
import Testing

@testable import Engine

/// A small random model of any family in any weight format, written as a real file. The weights mean nothing;
/// what counts is that every layer kind and option of the family occurs and that nothing overflows.
struct FamilyToy: Sendable, CustomTestStringConvertible {
    var name: String
    var architecture: String
    var layers = 2
    var embedding = 256
    var heads = 4
    var kvHeads = 2
    var headDim = 64
    var feedForward = 256
    var vocabulary = 320
    var contextLength = 1024
    var qkNorm = false
    var qkvBias = false
    var otherBiases = false
    var tied = false
    var ropeFreqs = false
    var fused = false
    var experts = 0
    var sharedExpert = false
    /// The shared expert has no gate.
    var sharedIsAdded = false
    /// The first layers are dense though the others are mixtures.
    var denseLayers = 0
    /// Blocks with experts have a dense network as well.
    var denseBesideExperts = false
    /// Layers without `attn_v`.
    var layersWithoutValues: Set<Int> = []
    /// `ffn_up` holds the gate's rows as well.
    var gateInUp = false
    /// The norm before the feed-forward half; nil: as hybrids name it or as others do.
    var ffnNorm: String?
    /// Every other layer, beginning with the first, has heads of another size.
    var slidingHeadDim: Int?
    /// Further tensors of every block, of blocks with experts, and outside the blocks.
    var blockExtras: [Tensor] = []
    var expertExtras: [Tensor] = []
    var extras: [Tensor] = []
    /// Layers of this toy that run the gated delta rule instead of attention.
    var recurrent: [Bool] = []
    var nextTokenLayers = 0
    var extraMetadata: [(String, GGUFValue)] = []
    /// Ends of the names of tensors that the toy does not have.
    var omitted: [String] = []
    /// Decay and write strength of the delta rule are one tensor.
    var joinedGates = false
    /// Ends of the names of tensors that the family takes where it finds them.
    var optionalTensors: [String] = []
    /// An indexer chooses what attention sees, and with a coarser cache it may choose otherwise.
    var choosesPositions = false
    /// All metadata and tensors of a toy that lists its own.
    var ownMetadata: [(String, GGUFValue)] = []
    var ownTensors: [Tensor] = []

    var testDescription: String { name }
    var isHybrid: Bool { !recurrent.isEmpty }

    /// One toy per family and form.
    static let every: [FamilyToy] = [basic, mixtures, [gemmaMixture], mixers, further].flatMap { $0 }
    /// Those that tests run: every one, or with `INFER_TOY` those that have this in their name.
    static let all: [FamilyToy] = {
        guard let part = ProcessInfo.processInfo.environment["INFER_TOY"], !part.isEmpty else { return every }
        return every.filter { $0.name.contains(part) }
    }()

    /// Toys with a layer that forgets what lies behind its window.
    static let windowed = all.filter { layout(of: $0)?.hasWindows == true }
    /// Toys with a memory that cannot go back.
    static let recurrent = all.filter { layout(of: $0)?.isRecurrent == true }
    /// Toys that turn long sequences in another way.
    static let longContext = all.filter { model(of: $0)?.architecture.longContext != nil }

    private static func layout(of toy: FamilyToy) -> StateLayout? { model(of: toy)?.stateLayout }

    private static func model(of toy: FamilyToy) -> Model? {
        QuantFormat.find(.q4_0).flatMap { format in
            try? Model.load(toy.file(format: format), options: EngineOptions(threads: 1))
        }
    }

    /// A toy by its name.
    static func named(_ name: String) throws -> FamilyToy { try #require(every.first { $0.name == name }) }

    private static let basic: [FamilyToy] = [
        FamilyToy(name: "llama", architecture: "llama", ropeFreqs: true),
        FamilyToy(
            name: "llama with biases, tied", architecture: "llama", kvHeads: 1, qkvBias: true, otherBiases: true,
            tied: true,
            extraMetadata: [
                ("llama.rope.scaling.type", .string("linear")), ("llama.rope.scaling.factor", .float32(4)),
            ], optionalTensors: [".bias"]),
        FamilyToy(name: "llama with experts", architecture: "llama", experts: 4),
        FamilyToy(name: "qwen2", architecture: "qwen2", qkvBias: true, tied: true),
        FamilyToy(name: "qwen2moe", architecture: "qwen2moe", qkvBias: true, experts: 4, sharedExpert: true),
        FamilyToy(
            name: "qwen3 with yarn", architecture: "qwen3", qkNorm: true, tied: true,
            extraMetadata: [
                ("qwen3.rope.scaling.type", .string("yarn")), ("qwen3.rope.scaling.factor", .float32(4)),
                ("qwen3.rope.scaling.original_context_length", .uint32(128)),
            ]),
        FamilyToy(name: "qwen3moe", architecture: "qwen3moe", qkNorm: true, experts: 4),
        FamilyToy(name: "qwen3moe, fused", architecture: "qwen3moe", qkNorm: true, fused: true, experts: 4),
        FamilyToy(
            name: "qwen35", architecture: "qwen35", layers: 3, qkNorm: true, recurrent: [true, false, true],
            nextTokenLayers: 1),
        FamilyToy(
            name: "qwen35moe", architecture: "qwen35moe", layers: 3, qkNorm: true, experts: 4, sharedExpert: true,
            recurrent: [true, true, false]),
    ]

    // MARK: Contents

    enum Kind: Sendable, Equatable {
        case matrix, norm, small, decay, exact
        /// Int32: rows of neighbouring numbers below this one.
        case table(Int)
    }

    struct Tensor: Sendable {
        var name: String
        var dimensions: [Int]
        var kind: Kind
    }

    static let stateSize = 64
    static let keyHeads = 2
    static let valueHeads = 4

    var metadata: [(String, GGUFValue)] {
        if !ownMetadata.isEmpty { return ownMetadata }
        func int(_ key: String, _ value: Int) -> (String, GGUFValue) {
            ("\(architecture).\(key)", .uint32(UInt32(value)))
        }
        var pairs: [(String, GGUFValue)] = [
            ("general.architecture", .string(architecture)),
            int("block_count", layers + nextTokenLayers), int("context_length", contextLength),
            int("embedding_length", embedding), int("feed_forward_length", feedForward),
            int("attention.head_count", heads), int("attention.head_count_kv", kvHeads),
            int("attention.key_length", headDim), int("attention.value_length", headDim),
            ("\(architecture).attention.layer_norm_rms_epsilon", .float32(1e-6)),
            ("\(architecture).rope.freq_base", .float32(10_000)),
        ]
        if experts > 0 {
            pairs += [
                int("expert_count", experts), int("expert_used_count", 2),
                int("expert_feed_forward_length", feedForward),
            ]
        }
        if sharedExpert { pairs.append(int("expert_shared_feed_forward_length", feedForward)) }
        if isHybrid {
            pairs += [
                int("rope.dimension_count", headDim / 4), int("ssm.conv_kernel", 4),
                int("ssm.state_size", Self.stateSize), int("ssm.group_count", Self.keyHeads),
                int("ssm.time_step_rank", Self.valueHeads), int("ssm.inner_size", Self.valueHeads * Self.stateSize),
                (
                    "\(architecture).attention.recurrent_layers",
                    .array(GGUFArray(recurrent + [Bool](repeating: false, count: nextTokenLayers)))
                ),
            ]
        }
        if nextTokenLayers > 0 { pairs.append(int("nextn_predict_layers", nextTokenLayers)) }
        return pairs + extraMetadata
    }

    var tensors: [Tensor] {
        if !ownTensors.isEmpty { return ownTensors }
        return listed.filter { tensor in !omitted.contains(where: tensor.name.hasSuffix) }
    }

    private var listed: [Tensor] {
        var list = [
            Tensor(name: "token_embd.weight", dimensions: [embedding, vocabulary], kind: .matrix),
            Tensor(name: "output_norm.weight", dimensions: [embedding], kind: .norm),
        ]
        if !tied { list.append(Tensor(name: "output.weight", dimensions: [embedding, vocabulary], kind: .matrix)) }
        if ropeFreqs { list.append(Tensor(name: "rope_freqs.weight", dimensions: [headDim / 2], kind: .exact)) }
        list += extras
        for layer in 0..<layers + nextTokenLayers {
            let delta = layer < recurrent.count && recurrent[layer]
            let dim = layer.isMultiple(of: 2) ? slidingHeadDim ?? headDim : headDim
            let mixer = mixer(delta: delta, headDim: dim).filter {
                !layersWithoutValues.contains(layer) || $0.name != "attn_v.weight"
            }
            let block = mixer + feedForwardTensors(layer) + blockExtras
            list += block.map {
                Tensor(name: "blk.\(layer).\($0.name)", dimensions: $0.dimensions, kind: $0.kind)
            }
            if layer >= layers {
                list.append(
                    Tensor(
                        name: "blk.\(layer).nextn.eh_proj.weight", dimensions: [2 * embedding, embedding],
                        kind: .matrix))
                for norm in ["enorm", "hnorm", "shared_head_norm"] {
                    list.append(
                        Tensor(name: "blk.\(layer).nextn.\(norm).weight", dimensions: [embedding], kind: .norm))
                }
            }
        }
        return list
    }

    private func mixer(delta: Bool, headDim: Int) -> [Tensor] {
        var list = [Tensor(name: "attn_norm.weight", dimensions: [embedding], kind: .norm)]
        if delta {
            let inner = Self.valueHeads * Self.stateSize
            let channels = 2 * Self.keyHeads * Self.stateSize + inner
            for name in joinedGates ? ["ssm_ba"] : ["ssm_alpha", "ssm_beta"] {
                let rows = (joinedGates ? 2 : 1) * Self.valueHeads
                list.append(Tensor(name: "\(name).weight", dimensions: [embedding, rows], kind: .matrix))
            }
            return list + [
                Tensor(name: "attn_qkv.weight", dimensions: [embedding, channels], kind: .matrix),
                Tensor(name: "attn_gate.weight", dimensions: [embedding, inner], kind: .matrix),
                Tensor(name: "ssm_conv1d.weight", dimensions: [4, channels], kind: .small),
                Tensor(name: "ssm_a", dimensions: [Self.valueHeads], kind: .decay),
                Tensor(name: "ssm_dt.bias", dimensions: [Self.valueHeads], kind: .small),
                Tensor(name: "ssm_norm.weight", dimensions: [Self.stateSize], kind: .norm),
                Tensor(name: "ssm_out.weight", dimensions: [inner, embedding], kind: .matrix),
            ]
        }
        let queries = heads * headDim
        let values = kvHeads * headDim
        if fused {
            list.append(
                Tensor(name: "attn_qkv.weight", dimensions: [embedding, queries + 2 * values], kind: .matrix))
        } else {
            let gate = isHybrid ? 2 : 1
            list += [
                Tensor(name: "attn_q.weight", dimensions: [embedding, gate * queries], kind: .matrix),
                Tensor(name: "attn_k.weight", dimensions: [embedding, values], kind: .matrix),
                Tensor(name: "attn_v.weight", dimensions: [embedding, values], kind: .matrix),
            ]
        }
        list.append(Tensor(name: "attn_output.weight", dimensions: [queries, embedding], kind: .matrix))
        if qkNorm {
            list.append(Tensor(name: "attn_q_norm.weight", dimensions: [headDim], kind: .norm))
            list.append(Tensor(name: "attn_k_norm.weight", dimensions: [headDim], kind: .norm))
        }
        if qkvBias {
            for (name, count) in [("q", queries), ("k", values), ("v", values)] {
                list.append(Tensor(name: "attn_\(name).bias", dimensions: [count], kind: .small))
            }
        }
        if otherBiases {
            list.append(Tensor(name: "attn_output.bias", dimensions: [embedding], kind: .small))
        }
        return list
    }

    private func feedForwardTensors(_ layer: Int) -> [Tensor] {
        let norm = ffnNorm ?? (isHybrid ? "post_attention_norm" : "ffn_norm")
        var list = [Tensor(name: "\(norm).weight", dimensions: [embedding], kind: .norm)]
        let wide = [embedding, feedForward]
        let narrow = [feedForward, embedding]
        let isMixture = experts > 0 && layer >= denseLayers
        if !isMixture || denseBesideExperts {
            if gateInUp {
                list.append(Tensor(name: "ffn_up.weight", dimensions: [embedding, 2 * feedForward], kind: .matrix))
            } else {
                list.append(Tensor(name: "ffn_gate.weight", dimensions: wide, kind: .matrix))
                list.append(Tensor(name: "ffn_up.weight", dimensions: wide, kind: .matrix))
            }
            list.append(Tensor(name: "ffn_down.weight", dimensions: narrow, kind: .matrix))
            if otherBiases {
                list += [
                    Tensor(name: "ffn_gate.bias", dimensions: [feedForward], kind: .small),
                    Tensor(name: "ffn_up.bias", dimensions: [feedForward], kind: .small),
                    Tensor(name: "ffn_down.bias", dimensions: [embedding], kind: .small),
                ]
            }
        }
        guard isMixture else { return list }
        list.append(Tensor(name: "ffn_gate_inp.weight", dimensions: [embedding, experts], kind: .small))
        if fused {
            list.append(
                Tensor(
                    name: "ffn_gate_up_exps.weight", dimensions: [embedding, 2 * feedForward, experts],
                    kind: .matrix))
        } else {
            list.append(Tensor(name: "ffn_gate_exps.weight", dimensions: wide + [experts], kind: .matrix))
            list.append(Tensor(name: "ffn_up_exps.weight", dimensions: wide + [experts], kind: .matrix))
        }
        list.append(Tensor(name: "ffn_down_exps.weight", dimensions: narrow + [experts], kind: .matrix))
        if sharedExpert && !sharedIsAdded {
            list.append(Tensor(name: "ffn_gate_inp_shexp.weight", dimensions: [embedding, 1], kind: .small))
        }
        if sharedExpert {
            list += [
                Tensor(name: "ffn_gate_shexp.weight", dimensions: wide, kind: .matrix),
                Tensor(name: "ffn_up_shexp.weight", dimensions: wide, kind: .matrix),
                Tensor(name: "ffn_down_shexp.weight", dimensions: narrow, kind: .matrix),
            ]
        }
        return list + expertExtras
    }

    // MARK: Writing

    /// The model as a file that can still be changed.
    func toyFile(format: QuantFormat, seed: UInt64 = 1) -> ToyFile {
        var file = ToyFile()
        file.metadata = metadata
        var random = SeededRandom(seed: seed)
        for tensor in tensors {
            let count = tensor.dimensions.reduce(1, *)
            if case .table(let limit) = tensor.kind {
                let row = tensor.dimensions[0]
                let ids = (0..<count).map { Int32(($0 / row * 7 + $0 % row) % limit) }
                file.tensor(
                    tensor.name, tensor.dimensions, .i32,
                    ids.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) })
            } else if tensor.kind == .matrix {
                let scale = 1 / Float(tensor.dimensions[0]).squareRoot()
                file.tensor(
                    tensor.name, tensor.dimensions, format.type, random.blocks(format, count: count, scale: scale))
            } else {
                file.tensor(tensor.name, tensor.dimensions, .f32, random.floats(tensor.kind, count: count))
            }
        }
        return file
    }

    func file(format: QuantFormat) throws -> GGUFFile { try toyFile(format: format).file() }
}

extension SeededRandom {
    mutating func uniform(_ range: ClosedRange<Float>) -> Float {
        range.lowerBound + (range.upperBound - range.lowerBound) * Float(next() >> 40) / Float(1 << 24)
    }

    mutating func floats(_ kind: FamilyToy.Kind, count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 4)
        for _ in 0..<count {
            let value =
                switch kind {
                case .norm: uniform(0.5...1.5)
                case .decay: -uniform(0.05...2)
                case .small: uniform(-0.5...0.5)
                case .exact: uniform(0.5...4)
                case .matrix, .table: uniform(-0.1...0.1)
                }
            withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
        }
        return bytes
    }

    /// Random blocks of `format` whose values are about `scale` in size: every bit of a block is random, then
    /// its scale fields are overwritten with something sane.
    mutating func blocks(_ format: QuantFormat, count: Int, scale: Float) -> [UInt8] {
        let size = format.blockBytes
        var bytes = [UInt8](repeating: 0, count: count / format.block * size)
        for index in stride(from: 0, to: bytes.count & ~7, by: 8) {
            withUnsafeBytes(of: next()) { bytes.replaceSubrange(index..<index + 8, with: $0) }
        }
        for start in stride(from: 0, to: bytes.count, by: size) {
            let s = scale * uniform(0.7...1.4)
            func half(_ offset: Int, _ value: Float) {
                withUnsafeBytes(of: halfBits(value).littleEndian) {
                    bytes.replaceSubrange(start + offset..<start + offset + 2, with: $0)
                }
            }
            switch format.name {
            case "F32":
                withUnsafeBytes(of: (s * uniform(-1.7...1.7)).bitPattern.littleEndian) {
                    bytes.replaceSubrange(start..<start + 4, with: $0)
                }
            case "F16": half(0, s * uniform(-1.7...1.7))
            case "BF16":
                let bits = UInt16((s * uniform(-1.7...1.7)).bitPattern >> 16)
                withUnsafeBytes(of: bits.littleEndian) { bytes.replaceSubrange(start..<start + 2, with: $0) }
            case "Q8_0", "IQ4_NL": half(0, s / 70)
            case "Q4_0": half(0, s / 5)
            case "Q5_0": half(0, s / 9)
            case "Q4_1":
                half(0, s / 5)
                half(2, -1.5 * s)
            case "Q5_1":
                half(0, s / 9)
                half(2, -1.7 * s)
            case "Q2_K":
                half(80, s / 10)
                half(82, 1.5 * s / 10)
            case "Q3_K": half(108, s / 40)
            case "IQ2_XXS", "IQ2_XS", "IQ2_S": half(0, s / 49)
            case "IQ3_XXS": half(0, s / 125)
            case "IQ3_S": half(0, s / 128)
            case "IQ1_S": half(0, s / 7)
            case "IQ1_M":
                let bits = halfBits(s / 7)
                for word in 0..<4 {
                    let at = start + 49 + 2 * word
                    bytes[at] = bytes[at] & 15 | UInt8(bits >> UInt16(4 * word) & 15) << 4
                }
            case "TQ1_0": half(52, s / 0.8)
            case "TQ2_0": half(64, s / 1.2)
            case "Q1_0": half(0, s)
            case "Q2_0": half(0, s / 1.2)
            case "NVFP4":
                // A power of two and eighths; so large that half of it is no subnormal number.
                let exponent = UInt8(max(2, (s / 3).exponent + 7))
                for index in 0..<4 { bytes[start + index] = exponent << 3 | UInt8(((s / 3).significand - 1) * 8) }
            case "Q4_K":
                half(0, s / 200)
                half(2, 7.5 * s / 200)
            case "Q5_K":
                half(0, s / 400)
                half(2, 15.5 * s / 400)
            case "Q6_K": half(208, s / 1300)
            case "IQ4_XS": half(0, s / 1200)
            case "MXFP4": bytes[start] = UInt8(127 + Int((log2(s / 3)).rounded()))
            default: Issue.record("no toy blocks for \(format.name)")
            }
        }
        return bytes
    }
}

/// Float to half for normal and small values, rounding to nearest even.
private func halfBits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(bits >> 16) & 0x8000
    let magnitude = abs(value)
    // Half subnormals are multiples of 2^-24.
    if magnitude < 6.103_515_6e-5 { return sign | UInt16((magnitude * 16_777_216).rounded(.toNearestOrEven)) }
    let rounded = (bits & 0x7FFF_FFFF) + 0x0FFF + ((bits >> 13) & 1)
    return sign | UInt16(min((rounded >> 13) - (112 << 10), 0x7BFF))
}
